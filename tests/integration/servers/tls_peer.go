// SPDX-License-Identifier: MIT

// Go's crypto/tls as a peer of Thrum, in both roles.
//
//	tls_peer get   asks an HTTPS server, each time over a connection of its own, and prints a line
//	               of JSON for each: what was agreed on, what came, and how it ended
//	tls_peer echo  is a server that sends back what it gets; -cut ends without saying so
package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	addr   = flag.String("addr", "", "where the server is")
	ca     = flag.String("ca", "", "whom to believe")
	name   = flag.String("name", "localhost", "the server's name")
	alpn   = flag.String("alpn", "", "protocols, with commas")
	cert   = flag.String("cert", "", "an own certificate")
	key    = flag.String("key", "", "and its key")
	most   = flag.String("max", "1.3", "highest version")
	times  = flag.Int("times", 1, "connections")
	target = flag.String("target", "/", "what is asked for")
	cut    = flag.Bool("cut", false, "end without close_notify after the first bytes")
)

var versions = map[string]uint16{"1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12,
	"1.3": tls.VersionTLS13}

type result struct {
	Version  string
	Alpn     string
	Resumed  bool
	Subject  string
	Status   int
	Size     int64
	Sha256   string
	CleanEnd bool
	Error    string
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "tls_peer:", err)
		os.Exit(1)
	}
}

func config() *tls.Config {
	c := &tls.Config{ServerName: *name, MinVersion: tls.VersionTLS10, MaxVersion: versions[*most],
		ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if *alpn != "" {
		c.NextProtos = strings.Split(*alpn, ",")
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		check(err)
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM(pem)
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		check(err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func ask(c *tls.Config, r *result) error {
	plain, err := net.Dial("tcp", *addr)
	if err != nil {
		return err
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(plain, c)
	if err = conn.Handshake(); err != nil {
		return err
	}
	s := conn.ConnectionState()
	for word, number := range versions {
		if number == s.Version {
			r.Version = word
		}
	}
	r.Alpn, r.Resumed = s.NegotiatedProtocol, s.DidResume
	r.Subject = s.PeerCertificates[0].Subject.CommonName
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", *target, *name)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	r.Status = response.StatusCode
	sum := sha256.New()
	if r.Size, err = io.Copy(sum, response.Body); err != nil {
		return err
	}
	r.Sha256 = hex.EncodeToString(sum.Sum(nil))
	_, err = in.ReadByte()
	r.CleanEnd = err == io.EOF // without close_notify it is io.ErrUnexpectedEOF
	return nil
}

func get() {
	c := config()
	for i := 0; i < *times; i++ {
		var r result
		if err := ask(c, &r); err != nil {
			r.Error = err.Error()
		}
		line, err := json.Marshal(&r)
		check(err)
		fmt.Println(string(line))
	}
}

func subject(certificates []*x509.Certificate) string {
	if len(certificates) == 0 {
		return ""
	}
	return certificates[0].Subject.CommonName
}

func serve(plain net.Conn, c *tls.Config) {
	conn := tls.Server(plain, c)
	defer plain.Close()
	buffer := make([]byte, 65536)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			conn.Write(buffer[:n])
			if *cut {
				return
			}
		}
		if err != nil {
			s := conn.ConnectionState()
			fmt.Println("end:", err, "resumed:", s.DidResume, "certificates:", len(s.PeerCertificates),
				subject(s.PeerCertificates))
			conn.Close() // says the end
			return
		}
	}
}

func echo() {
	c := config()
	c.MinVersion = tls.VersionTLS10
	if c.RootCAs != nil {
		c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("listening on", listener.Addr())
	for {
		plain, err := listener.Accept()
		check(err)
		go serve(plain, c)
	}
}

func main() {
	roles := map[string]func(){"get": get, "echo": echo}
	if len(os.Args) < 2 || roles[os.Args[1]] == nil {
		check(fmt.Errorf("usage: tls_peer get|echo OPTION..."))
	}
	flag.CommandLine.Parse(os.Args[2:])
	roles[os.Args[1]]()
}
