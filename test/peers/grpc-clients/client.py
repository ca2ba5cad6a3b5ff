# A line with a number makes so many calls; their outcomes go to stdout as a line of JSON.
import collections
import json
import sys

import grpc

if len(sys.argv) > 2 and sys.argv[2] == "tls":
    channel = grpc.secure_channel("xds:///" + sys.argv[1], grpc.xds_channel_credentials())
else:
    channel = grpc.insecure_channel("xds:///" + sys.argv[1])
who = channel.unary_unary("/test.Echo/" + (sys.argv[3] if len(sys.argv) > 3 else "Who"), request_serializer=lambda b: b, response_deserializer=lambda b: b)
for line in sys.stdin:
    outcomes = collections.Counter()
    for _ in range(int(line)):
        try:
            outcomes[who(b"", timeout=5).decode()] += 1
        except grpc.RpcError as error:
            outcomes[error.code().name] += 1
    print(json.dumps(outcomes), flush=True)
