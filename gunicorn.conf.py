"""Settings of the web server, `gunicorn newsletter.wsgi`. Options on the command line take precedence.

gunicorn reads this file from the folder in which it is started: the README's command, the demo, the systemd unit and
the image all use it.
"""

from django.apps import apps

worker_class = "newsletter.http_server.BufferingWorker"

# Two processes, so that one answers while the other is replaced.
workers = 2
# Per process. Each holds a database connection.
threads = 4
# Settings are checked once, before the first process starts, and a process is replaced within a second.
preload_app = True

# In seconds: a process that shows no sign of life for `timeout` is replaced; one that stops may take `graceful_timeout`
# to finish its requests.
timeout = 30
graceful_timeout = 30

# gunicorn's control interface: unused, and it needs a home directory that can be written to.
control_socket_disable = True


def post_worker_init(worker: object) -> None:
    """Store opens and clicks, and read disabled links, in the background of each process: no thread survives a fork."""
    if apps.ready:
        # Models can be imported now, and could not when this file was read.
        from newsletter.engagement.disabled_links import DISABLED
        from newsletter.engagement.record import RECORDER

        RECORDER.start()
        DISABLED.start()


def worker_exit(server: object, worker: object) -> None:
    """Store those that wait."""
    if apps.ready:
        from newsletter.engagement.disabled_links import DISABLED
        from newsletter.engagement.record import RECORDER

        RECORDER.stop()
        DISABLED.stop()
