// An upstream in Go's net/http for the smuggling test: prints its port, then a line for each request that it takes for one.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		injected := ""
		if request.Header.Get("X-Injected") != "" {
			injected = " injected"
		}
		fmt.Printf("%s %s%s\n", request.Method, request.RequestURI, injected)
		io.Copy(io.Discard, request.Body)
		answer.Header().Set("x-path", request.RequestURI)
		answer.Write([]byte(request.RequestURI))
	})))
}
