"""Every port that listens on this network, tried as a stranger would: run inside the namespace that is to be tried.

Prints JSON: for each port the program that listens and what it answered, by HTTP path and by gRPC method.
"""

import json
import sys

import grpc
import httpx
import psutil

PATHS = (
    *("/", "/metrics"),
    *("/api/jobs/", "/api/cluster_status", "/nodes?view=summary", "/api/v0/nodes"),
    *("/api/projects", "/api/users", "/data/local-files/?d=review"),
    *("/_stcore/health", "/media/x", "/store/x"),
)
METHODS = (
    "NodeInfoGcsService/GetAllNodeInfo",
    "InternalKVGcsService/InternalKVKeys",
    "JobInfoGcsService/GetAllJobInfo",
    "NodeManagerService/GetNodeStats",
    "NodeManagerService/RequestWorkerLease",
    "ObjectManagerService/FreeObjects",
    "CoreWorkerService/GetCoreWorkerStats",
    "CoreWorkerService/PushTask",
    "RayletDriver/Init",
    "RuntimeEnvService/GetRuntimeEnvsInfo",
    "ReporterService/GetTraceback",
)


def listening(spare: frozenset[int]) -> dict[int, tuple[str, str]]:
    """port -> (address, program), of all that listen but for `spare`."""
    found = {}
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port not in spare:
            name = " ".join(psutil.Process(each.pid).cmdline())[:120] if each.pid else "?"
            found[each.laddr.port] = (each.laddr.ip, name)
    return found


def by_http(port: int) -> dict[str, int | str]:
    answers: dict[str, int | str] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=3, trust_env=False) as client:
        for path in PATHS:
            try:
                found = client.get(path)
                # Prometheus' own server gives the same counters at every path; Label Studio's page for it is empty.
                what = "figures" if found.text.startswith("# HELP") else found.status_code
                answers[path] = what if found.content else "nothing"
            except httpx.HTTPError:
                return answers
    return answers


def by_grpc(port: int) -> dict[str, str]:
    answers = {}
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in METHODS:
            call = channel.unary_unary(f"/ray.rpc.{method}")
            try:
                call(b"", timeout=2)
                answers[method] = "OK"
            except grpc.RpcError as error:
                answers[method] = error.code().name
                if error.code().name == "UNAVAILABLE":  # It speaks something else.
                    return {}
    return answers


if __name__ == "__main__":
    spare = frozenset(int(word) for word in sys.argv[1:])
    tried = {port: (who, by_http(port) or by_grpc(port)) for port, who in listening(spare).items()}
    print(json.dumps(tried))
