# Certificates for the tests, below a folder: a root, an issuer, a site's with its chain, and the ACME server's. In the
# folder renewed is the next certificate of the site, in wrong the first one with the key of another.
mkdir -p "$1"
cd "$1"
new="openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
authority="basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash"

sign() { # name, parent, extensions
    printf '%s\n' "$3" authorityKeyIdentifier=keyid >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 90 -extfile "$1.ext" -out "$1.pem"
}

$new -x509 -days 90 -subj "/CN=Root of the tests" -addext "keyUsage=critical,keyCertSign" -keyout root.key -out root.pem
$new -subj "/CN=Issuer of the tests" -keyout issuer.key -out issuer.csr
sign issuer root "$authority"
$new -subj "/CN=given.example.com" -keyout site.key -out site.csr
sign site issuer "subjectAltName=DNS:given.example.com"
$new -subj "/CN=localhost" -keyout pebble.key -out pebble.csr
sign pebble root "subjectAltName=DNS:localhost,IP:127.0.0.1"
cat site.pem issuer.pem >chain.pem

mkdir -p renewed wrong
cp chain.pem wrong/chain.pem
cp pebble.key wrong/site.key
cp site.key renewed/site.key
cp site.csr renewed.csr
sign renewed issuer "subjectAltName=DNS:given.example.com"
cat renewed.pem issuer.pem >renewed/chain.pem
