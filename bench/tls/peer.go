// SPDX-License-Identifier: MIT

// The HTTPS server of Go's standard library, on one processor: a fixed answer and a folder.
//
// usage: tls_go CERT KEY FOLDER HTTPS-PORT HTTP-PORT
package main

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", "13")
	io.WriteString(w, "hello, world\n")
}

func main() {
	if len(os.Args) != 6 {
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.Handle("/", http.FileServer(http.Dir(os.Args[3])))
	quiet := log.New(io.Discard, "", 0)
	plain := &http.Server{Addr: "127.0.0.1:" + os.Args[5], Handler: mux, ErrorLog: quiet}
	secure := &http.Server{Addr: "127.0.0.1:" + os.Args[4], Handler: mux, ErrorLog: quiet,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	go func() { log.Fatal(plain.ListenAndServe()) }()
	log.Fatal(secure.ListenAndServeTLS(os.Args[1], os.Args[2]))
}
