from pretalx.settings import *  # noqa: F403

# Its storage compresses with Brotli, which takes 20 s of CPU a time; fonts and texts alone show as much.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["css", "js", "map", "svg", "png", "woff", "woff2", "json"]
