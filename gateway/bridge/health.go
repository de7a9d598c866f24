package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A full HTTP stack would be two thirds of this binary; the three answers below need one request line.
func (s *server) serveHealth(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			go s.answerHealth(conn)
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
	current, _ := s.board.read()
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
		respond(conn, 200, metrics(current))
	default:
		respond(conn, 404, "want /healthz, /readyz or /metrics\n")
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
	}
	return "not ready"
}

func metrics(current state) string {
	var out strings.Builder
	for _, m := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"mcp_bridge_processes", "gauge", "Server processes running now.", uint64(current.Processes)},
		{"mcp_bridge_processes_started_total", "counter", "Server processes started.", current.Started},
		{"mcp_bridge_processes_exited_total", "counter", "Server processes that have ended.", current.Exited},
	} {
		fmt.Fprintf(&out, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
	return out.String()
}

func respond(w io.Writer, status int, body string) {
	reasons := map[int]string{200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, reasons[status], len(body), body)
}

// runProbe is for machines without curl and for people: exit 0 when ADDR's /readyz answers 200.
func runProbe(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe: want one ADDR, for example 127.0.0.1:9444")
		return exitUsage
	}
	conn, err := net.DialTimeout("tcp", args[0], 3*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe:", err)
		return 1
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET /readyz HTTP/1.1\r\nHost: %s\r\n\r\n", args[0])
	answer, err := io.ReadAll(io.LimitReader(conn, 4096))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge probe:", err)
		return 1
	}
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	fields := strings.Fields(head)
	fmt.Print(body)
	if len(fields) > 1 && fields[1] == strconv.Itoa(200) {
		return 0
	}
	return 1
}
