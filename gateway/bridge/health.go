package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// maxHealthConnections are answered at once; a further connection closes the oldest.
const maxHealthConnections = 64

// A full HTTP stack would be two thirds of this binary; the three answers below need one request line.
func (s *server) serveHealth(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	connections := newPending(maxHealthConnections)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			done, _ := connections.add(conn)
			go func() {
				defer done()
				s.answerHealth(conn)
			}()
		}
	}()
	return nil
}

func (s *server) answerHealth(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	request := make([]byte, 2048)
	n, err := conn.Read(request)
	if err != nil {
		return
	}
	fields := strings.Fields(string(request[:n]))
	if len(fields) < 2 || fields[0] != "GET" {
		respond(conn, 405, "only GET\n")
		return
	}
	current, _ := s.state.read()
	switch fields[1] {
	case "/healthz":
		respond(conn, 200, "ok\n")
	case "/readyz":
		if current.Ready {
			respond(conn, 200, "ok\n")
		} else {
			respond(conn, 503, notReady(current)+"\n")
		}
	case "/metrics":
		respond(conn, 200, s.metrics())
	default:
		respond(conn, 404, "use /healthz, /readyz or /metrics\n")
	}
}

func notReady(current state) string {
	switch {
	case current.Draining:
		return "draining"
	case len(current.Missing) > 0:
		return "missing references: " + strings.Join(current.Missing, ", ")
	case current.Failure != nil:
		return current.Failure.Reason + ": " + current.Failure.Message
	case current.Awaited:
		return "the server has not answered a gateway yet"
	}
	return "not ready"
}

func respond(w io.Writer, status int, body string) {
	reasons := map[int]string{200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, reasons[status], len(body), body)
}
