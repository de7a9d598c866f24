package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// The gateway proves itself: it signs a challenge of this very connection with a private key that only the gateway has. A bridge
// has public keys only, so no server can use them at another server's bridge. See docs/bridge-protocol.md, "Proof".

const (
	challengeSize = 32 // bytes, random
	proofContext  = "MCP-BRIDGE/1 proof"
)

// gatewayKeys are the public keys of the gateways that may connect: PEM files (RFC 8410) in a folder, several during a rotation.
type gatewayKeys struct {
	folder string
	server string // the name that a proof must be made for
}

type challenge struct {
	Challenge string `json:"challenge"` // base64
}

// proof is the gateway's answer to a challenge. Server and address repeat what is signed, so that a refusal can name the difference.
type proof struct {
	Server    string `json:"server"`
	Address   string `json:"address"`
	Signature []byte `json:"signature"` // base64
}

// load reads the folder. Errors: it cannot be read, or holds no key; files that are no keys are an error, too.
func (k gatewayKeys) load() ([]ed25519.PublicKey, error) {
	entries, err := os.ReadDir(k.folder)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") { // the kubelet's own ..data links
			continue
		}
		key, err := readPublicKey(filepath.Join(k.folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no public key", k.folder)
	}
	return keys, nil
}

// missing is what makes the bridge unready: without a key no gateway can connect. A mounted Secret may still appear.
func (k gatewayKeys) missing() []string {
	if k.folder == "" {
		return nil
	}
	if _, err := k.load(); err != nil {
		return []string{fmt.Sprintf("gateway keys (%v)", err)}
	}
	return nil
}

func readPublicKey(path string) (ed25519.PublicKey, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s is not a PEM file with a PUBLIC KEY", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s: the key is not an Ed25519 key", path)
	}
	return public, nil
}

// demand sends a challenge and checks the proof that must be the next line. The connection's deadline is the caller's.
func (k gatewayKeys) demand(conn stream, local net.Addr) *refusal {
	keys, err := k.load()
	if err != nil {
		return &refusal{Error: "access", Reason: "NoKey", Message: "the bridge cannot read the gateway's public key: check --gateway-keys and the Secret behind it"}
	}
	nonce := make([]byte, challengeSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand aborts the program instead
	text := base64.StdEncoding.EncodeToString(nonce)
	if _, err := conn.Write(controlLine(challenge{text})); err != nil {
		return &refusal{}
	}
	kind, line, err := sniff(conn)
	switch {
	case errors.Is(err, errGreetingTooLong) || err == nil && kind == raw:
		return proofMissing()
	case err != nil:
		return &refusal{}
	}
	return k.verify(keys, text, line, canonical(local))
}

func proofMissing() *refusal {
	return &refusal{Error: "access", Reason: "ProofMissing",
		Message: `this bridge requires a proof: answer its challenge with {"proof":{"server":…,"address":…,"signature":…}}`}
}

// verify is pure: it says why a line is not the proof for this challenge, server and address; nil when it is.
func (k gatewayKeys) verify(keys []ed25519.PublicKey, text string, line []byte, address string) *refusal {
	var answer struct {
		Proof *proof `json:"proof"`
	}
	body, ok := bytes.CutPrefix(line, []byte(magic))
	if !ok || json.Unmarshal(body, &answer) != nil || answer.Proof == nil {
		return proofMissing()
	}
	p := answer.Proof
	if p.Server != k.server {
		return &refusal{Error: "access", Reason: "ProofServer",
			Message: fmt.Sprintf("the proof is for server %q, but this bridge serves %q", shorten(p.Server), k.server)}
	}
	if p.Address != address {
		return &refusal{Error: "access", Reason: "ProofAddress",
			Message: fmt.Sprintf("the proof is for address %q, but this connection is to %q", shorten(p.Address), address)}
	}
	message := proofMessage(text, k.server, address)
	for _, key := range keys {
		if ed25519.Verify(key, message, p.Signature) {
			return nil
		}
	}
	return &refusal{Error: "access", Reason: "ProofWrong",
		Message: "the signature does not match this connection's challenge under any of the bridge's gateway keys"}
}

// proofMessage is what the gateway signs. No part can contain the separator: the challenge is base64, a server's name is checked
// at the start, an address is printed by net/netip.
func proofMessage(text, server, address string) []byte {
	return []byte(strings.Join([]string{proofContext, text, server, address}, "\n"))
}

const maxQuoted = 80 // bytes of a client's own text in a message

func shorten(text string) string { return text[:min(len(text), maxQuoted)] }

// canonical is an address as both sides print it: RFC 5952, without a zone, IPv4 as IPv4.
func canonical(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return address.String()
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()).String()
}
