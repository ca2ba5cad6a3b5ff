// A line with a number makes so many calls; their outcomes go to stdout as a line of JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	statuspb "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
	"google.golang.org/grpc/xds/csds"
)

// raw passes bytes through.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *(v.(*[]byte)), nil }
func (raw) Unmarshal(data []byte, v any) error { *(v.(*[]byte)) = append([]byte{}, data...); return nil }
func (raw) Name() string                       { return "proto" }

func main() {
	var creds credentials.TransportCredentials = insecure.NewCredentials()
	if len(os.Args) > 2 && os.Args[2] == "tls" {
		made, err := xdscreds.NewClientCredentials(xdscreds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
		if err != nil {
			panic(err)
		}
		creds = made
	}
	method := "/test.Echo/Who"
	if len(os.Args) > 3 {
		method = "/test.Echo/" + os.Args[3]
	}
	conn, err := grpc.NewClient("xds:///"+os.Args[1], grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		panic(err)
	}
	// A40: what it holds, for whoever asks.
	if os.Getenv("CSDS") != "" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		service, err := csds.NewClientStatusDiscoveryServer()
		if err != nil {
			panic(err)
		}
		server := grpc.NewServer()
		statuspb.RegisterClientStatusDiscoveryServiceServer(server, service)
		go server.Serve(listener)
		fmt.Fprintf(os.Stderr, "csds %s\n", listener.Addr())
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count, _ := strconv.Atoi(lines.Text())
		outcomes := map[string]int{}
		for ; count > 0; count-- {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			in, out := []byte{}, []byte{}
			if err := conn.Invoke(ctx, method, &in, &out); err != nil {
				outcomes[status.Code(err).String()]++
			} else {
				outcomes[string(out)]++
			}
			cancel()
		}
		text, _ := json.Marshal(outcomes)
		fmt.Println(string(text))
	}
}
