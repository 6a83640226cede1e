from pretalx.settings import *  # noqa: F403

# Its storage compresses with Brotli, which takes 20 s of CPU a time; style sheets alone show as much.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["js", "map", "svg", "png", "woff", "woff2", "txt", "html", "json", "ttf", "eot"]
