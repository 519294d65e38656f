"""A client that knows nothing but the .proto: creates, publishes, lists, watches, snapshots, renames.

Arguments: the folder of the generated modules, the address of the server.
"""

import sys

sys.path.insert(0, sys.argv[1])

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from nokv.v1 import namespace_pb2, nouns_pb2, services_pb2, services_pb2_grpc, snapshots_pb2

channel = grpc.insecure_channel(sys.argv[2])
names = services_pb2_grpc.NamespaceStub(channel)
snapshots = services_pb2_grpc.SnapshotsStub(channel)
watch = services_pb2_grpc.WatchStub(channel)


def target(path):
    return nouns_pb2.Target(path=path.encode())


def place(path):
    return nouns_pb2.Place(path=path.encode())


def make_dir(path):
    return names.MakeDir(namespace_pb2.MakeDirRequest(place=place(path), mode=0o755))


def publish(path, data):
    body = nouns_pb2.Body(size=len(data), inline=data)
    item = namespace_pb2.PublishItem(path=path.encode(), mode=0o644, file=body)
    return names.Publish(namespace_pb2.PublishRequest(items=[item]))


def listed(path, **view):
    request = namespace_pb2.ReadDirRequest(target=target(path), view=nouns_pb2.View(**view))
    return [entry.name.decode() for entry in names.ReadDirPlus(request).entries]


def subscribe(path):
    yield services_pb2.WatchSubtreeRequest(subscribe=services_pb2.Subscribe(target=target(path)))


make_dir("/runs")
events = watch.WatchSubtree(subscribe("/runs"))
assert next(events).HasField("ready")

make_dir("/runs/1")
publish("/runs/1/metrics.json", b'{"loss": 0.25}')
assert listed("/runs/1") == ["metrics.json"]

request = snapshots_pb2.CreateSnapshotRequest(directory=target("/runs"), name="before")
snapshots.SnapshotSubtree(request)
names.RenameSubtree(namespace_pb2.RenameRequest(**{"from": place("/runs/1")}, to=place("/runs/best")))
assert listed("/runs") == ["best"]
assert listed("/runs", snapshot="before") == ["1"]

seen = []
while len(seen) < 3:
    for change in next(events).events.changes:
        seen.append((change.kind, change.to.path.decode()))
CREATED, RENAMED = 1, 3
assert (CREATED, "/runs/1") in seen, seen
assert any(path == "/runs/1/metrics.json" for _, path in seen), seen
events.cancel()

try:
    make_dir("/runs/best")
    raise SystemExit("a taken name was made again")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.ALREADY_EXISTS, error
    info = error_details_pb2.ErrorInfo()
    [detail] = rpc_status.from_call(error).details
    assert detail.Unpack(info) and info.reason == "AlreadyExists", info

print("ok")
