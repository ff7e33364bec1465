"""Programs for pods and other processes, written as functions so that they are read like all other code.

Their text is what is sent: each imports what it needs itself, and knows nothing of this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable


def text(program: Callable[..., None], *arguments: str) -> str:
    """The program as `python -c` takes it."""
    return f"{inspect.getsource(program)}\n{program.__name__}{arguments!r}\n"


def look_around() -> None:
    """Says which address the API server has, who runs this, and what the API server answers."""
    import os
    import pathlib
    import socket
    import ssl
    import urllib.request

    given = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
    print(socket.gethostbyname("kubernetes.default"), os.getuid())
    trusted = ssl.create_default_context(cafile=given / "ca.crt")
    bearer = {"Authorization": f"Bearer {(given / 'token').read_text()}"}
    question = urllib.request.Request("https://kubernetes.default.svc/api", headers=bearer)
    with urllib.request.urlopen(question, context=trusted) as answer:
        print(answer.status)


def tell_names() -> None:
    """Answers with this pod's name, and that of whoever answers when it asks its own service."""
    import http.server
    import os
    import urllib.request

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            inner = b"" if self.path == "/inner" else urllib.request.urlopen("http://echo:8080/inner").read()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(os.environ["HOSTNAME"].encode() + b" " + inner)

    http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()


def give_metrics() -> None:
    """Serves this process's own metrics for an hour."""
    import time

    import prometheus_client

    prometheus_client.start_http_server(9090)
    time.sleep(3600)


def load_the_judge_of_voices() -> None:
    """Loads what tells voices apart, as the trainer does."""
    from kelong_trainer.corpus.listening.speakers import resemblyzer_embedding

    resemblyzer_embedding()
    print("loaded")


def begin_node(here: str, kind: str) -> None:
    """Starts an empty node that holds a mount and a sleeping process, and says that process's id."""
    import sys
    import time

    sys.path.insert(0, here)
    from kelong_cluster import namespaces

    namespaces.sweep()
    namespaces.run_folder().mkdir(parents=True)
    spaces = namespaces.create(dies_with_caller=kind == "attached")
    namespaces.make_cgroup()
    folder = namespaces.run_folder()
    into = f"for group in /sys/fs/cgroup/*/{namespaces.cgroup()} /sys/fs/cgroup/{namespaces.cgroup()}; do"
    into += " test -e $group/cgroup.procs && echo $$ > $group/cgroup.procs; done; exec sleep 10000"
    spaces.start(["/bin/sh", "-c", into], folder / "log", folder=folder, environment={})
    spaces.start(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/kubelet"], folder / "log", folder=folder, environment={})
    spaces.started[-1].wait()
    print(spaces.started[1].pid, flush=True)
    time.sleep(10000 if spaces.dies_with_caller else 0)
