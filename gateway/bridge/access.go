package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// access decides who may connect. Its files are read for each connection: a mounted Secret may have been rotated.
type access struct {
	tokenFile, cert, key, clientCA string

	gateway         gatewayKeys
	unauthenticated bool // any client may connect, raw ones too
}

func (a access) restricted() bool { return a.tokenFile != "" || a.cert != "" || a.gateway.folder != "" }

func (a access) authenticates() bool {
	return a.tokenFile != "" || a.clientCA != "" || a.gateway.folder != ""
}

// check reports at the start what would otherwise refuse every client.
func (a access) check() error {
	if a.unauthenticated && a.authenticates() {
		return errors.New("--allow-unauthenticated contradicts --gateway-keys, --token-file and --tls-client-ca: remove one side")
	}
	if (a.gateway.folder == "") != (a.gateway.server == "") {
		return errors.New("--gateway-keys and --server belong together: give both")
	}
	if visible(a.gateway.server) != a.gateway.server {
		return fmt.Errorf("--server is %q: it must not contain control characters", a.gateway.server)
	}
	if a.tokenFile != "" {
		if _, err := a.tokens(); err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
	}
	if (a.cert == "") != (a.key == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both")
	}
	if a.clientCA != "" && a.cert == "" {
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	}
	if a.cert != "" {
		if _, err := a.tlsConfig(); err != nil {
			return err
		}
	}
	if !a.unauthenticated && !a.authenticates() {
		return errors.New("no --gateway-keys: every client that can connect would control the server. Give --gateway-keys and --server, " +
			"--token-file or --tls-client-ca; or accept every client with --allow-unauthenticated")
	}
	return nil
}

// tokens are the file's lines: two of them during a rotation.
func (a access) tokens() ([][]byte, error) {
	content, err := os.ReadFile(a.tokenFile)
	if err != nil {
		return nil, err
	}
	var tokens [][]byte
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			tokens = append(tokens, line)
		}
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%s is empty", a.tokenFile)
	}
	return tokens, nil
}

// admits compares in constant time, whatever the lengths.
func (a access) admits(token string) *refusal {
	if a.tokenFile == "" {
		return nil
	}
	tokens, err := a.tokens()
	if err != nil {
		return &refusal{Error: "access", Reason: "NoToken", Message: "the bridge cannot read its token file"}
	}
	given := sha256.Sum256([]byte(token))
	match := 0
	for _, t := range tokens {
		expected := sha256.Sum256(t)
		match |= subtle.ConstantTimeCompare(given[:], expected[:])
	}
	if match == 1 {
		return nil
	}
	if token == "" {
		return &refusal{Error: "access", Reason: "TokenMissing", Message: `a token is required: add {"token":"…"} to the greeting`}
	}
	return &refusal{Error: "access", Reason: "TokenWrong", Message: "the token is not in this bridge's token file"}
}

func (a access) tlsConfig() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(a.cert, a.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}
	if a.clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(a.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-client-ca: no certificate in %s", a.clientCA)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

// firstTLSByte is the record type of a handshake: RFC 8446, section 5.1.
const firstTLSByte = 0x16

// unwrap ends TLS and returns the plain end of a socket pair whose other end is carried over it, so that everything behind works
// on a descriptor.
func (a access) unwrap(conn *net.TCPConn) (stream, *refusal) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, &refusal{}
	}
	if first[0] != firstTLSByte {
		return nil, &refusal{Error: "access", Reason: "TLSRequired", Message: "this bridge accepts TLS only"}
	}
	config, err := a.tlsConfig()
	if err != nil {
		return nil, &refusal{Error: "access", Reason: "NoCertificate", Message: "the bridge cannot read its certificate"}
	}
	secure := tls.Server(&prefixed{TCPConn: conn, first: first}, config)
	if err := secure.Handshake(); err != nil {
		return nil, &refusal{} // the TLS alert carries the reason
	}
	_ = conn.SetDeadline(time.Time{})
	inner, outer, err := streamPair()
	if err != nil {
		return nil, &refusal{Error: "start", Reason: "EMFILE", Message: err.Error()}
	}
	go carry(secure, outer)
	return inner, nil
}

// carry moves bytes both ways; each side's end of file is passed on to the other.
func carry(secure *tls.Conn, outer stream) {
	defer secure.Close()
	defer outer.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(secure, outer)
		_ = secure.CloseWrite()
	}()
	if _, err := io.Copy(outer, secure); err != nil { // a reset, not an end
		return
	}
	_ = outer.CloseWrite()
	<-back
}

// prefixed returns the byte that was already read, then the rest.
type prefixed struct {
	*net.TCPConn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.TCPConn.Read(b)
}

func streamPair() (inner, outer stream, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if inner, err = streamOf(fds[0]); err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	if outer, err = streamOf(fds[1]); err != nil {
		_ = inner.Close()
	}
	return inner, outer, err
}

func streamOf(fd int) (stream, error) {
	file := pollable(fd, "stream")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}
