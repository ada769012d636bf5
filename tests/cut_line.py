"""A line to a server that breaks after so many bytes: an ssh `ProxyCommand`.

    python tests/cut_line.py HOST PORT BYTES FILE

It breaks as long as FILE is there; a FILE that says "once" is gone then. Without it the line holds.
"""

import os
import socket
import sys
import threading
from pathlib import Path


def relay(read, write, left: list[int], cuts: Path) -> None:
    while chunk := read(16_384):
        left[0] -= len(chunk)
        if left[0] < 0 and cuts.exists():
            if cuts.read_text() == "once":
                cuts.unlink()
            os._exit(1)
        write(chunk)
    os._exit(0)


def main() -> None:
    host, port, count, cuts = sys.argv[1:]
    left = [int(count)]  # of both directions together
    server = socket.create_connection((host, int(port)))
    back = threading.Thread(target=relay, args=(server.recv, lambda chunk: os.write(1, chunk), left, Path(cuts)))
    back.start()
    relay(lambda size: os.read(0, size), server.sendall, left, Path(cuts))


if __name__ == "__main__":
    main()
