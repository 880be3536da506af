"""The login node's end of the levers: hands lines from a socket to the host over stdout, and its answers back."""

import select
import socket
import sys
from pathlib import Path

path = Path(sys.argv[1])
path.unlink(missing_ok=True)
with socket.socket(socket.AF_UNIX) as server:
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    print("ready", flush=True)
    # Unasked input is the end of the host's side.
    while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
        connection, _ = server.accept()
        with connection:
            print(connection.makefile().readline().strip(), flush=True)
            connection.sendall(sys.stdin.readline().encode())
path.unlink()
