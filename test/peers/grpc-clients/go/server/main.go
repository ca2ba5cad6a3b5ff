// A gRPC server that asks for its listener; it prints what mode it is in.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/xds"
)

// raw passes bytes through.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *(v.(*[]byte)), nil }
func (raw) Unmarshal(data []byte, v any) error { *(v.(*[]byte)) = append([]byte{}, data...); return nil }
func (raw) Name() string                       { return "proto" }

func method(name string) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, between grpc.UnaryServerInterceptor) (any, error) {
		in := []byte{}
		if err := decode(&in); err != nil {
			return nil, err
		}
		answer := func(context.Context, any) (any, error) { out := []byte(name); return &out, nil }
		if between == nil {
			return answer(ctx, &in)
		}
		return between(ctx, &in, &grpc.UnaryServerInfo{FullMethod: "/test.Echo/" + name}, answer)
	}}
}

func main() {
	creds, err := xdscreds.NewServerCredentials(xdscreds.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		panic(err)
	}
	modes := xds.ServingModeCallback(func(_ net.Addr, args xds.ServingModeChangeArgs) { fmt.Println(args.Mode, args.Err) })
	server, err := xds.NewGRPCServer(grpc.Creds(creds), grpc.ForceServerCodec(raw{}), modes)
	if err != nil {
		panic(err)
	}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{method("Who"), method("Admin")}}, struct{}{})
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := server.Serve(listener); err != nil {
		panic(err)
	}
}
