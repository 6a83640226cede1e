console.log("basket");
