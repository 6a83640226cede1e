"""What the deploys take from the inventory unless a host has its own, but for source, version, secret_key."""

name = "guestbook"
domain = "guestbook.example.com"
wsgi = "guestbook.wsgi:application"
locale = "en_US.UTF-8"
processes = 4

# Run pip, the migrations and collectstatic in every run, or only for code that is new to the host.
always_manage = True
