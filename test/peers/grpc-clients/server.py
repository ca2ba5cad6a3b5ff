# A gRPC server that asks for its listener; it prints its port once it serves.
import concurrent.futures
import sys

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if not details.method.startswith("/test.Echo/"):
            return None
        name = details.method.rsplit("/", 1)[1]
        return grpc.unary_unary_rpc_method_handler(lambda request, context: name.encode())


server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), xds=True)
server.add_generic_rpc_handlers((Echo(),))
creds = grpc.xds_server_credentials(grpc.insecure_server_credentials())
server.add_secure_port(sys.argv[1], creds)
server.start()
print("serving", flush=True)
server.wait_for_termination()
