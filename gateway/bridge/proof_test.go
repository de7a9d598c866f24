package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testAddress = "127.0.0.1:4444"

func newKey(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func signed(private ed25519.PrivateKey, challenge, server, address string) []byte {
	p := proof{Server: server, Address: address, Signature: ed25519.Sign(private, proofMessage(challenge, server, address))}
	return bytes.TrimSuffix(controlLine(struct {
		Proof proof `json:"proof"`
	}{p}), []byte("\n"))
}

func TestOnlyAProofForThisChallengeServerAndAddressIsAccepted(t *testing.T) {
	public, private := newKey(t)
	rotated, rotatedPrivate := newKey(t)
	_, foreign := newKey(t)
	k := gatewayKeys{server: "time"}
	keys := []ed25519.PublicKey{public, rotated}
	for name, c := range map[string]struct {
		line   []byte
		reason string
	}{
		"right":                  {signed(private, "c", "time", testAddress), ""},
		"right, another key":     {signed(rotatedPrivate, "c", "time", testAddress), ""},
		"key of another gateway": {signed(foreign, "c", "time", testAddress), "ProofWrong"},
		"replayed":               {signed(private, "earlier", "time", testAddress), "ProofWrong"},
		"another server":         {signed(private, "c", "files", testAddress), "ProofServer"},
		"another address":        {signed(private, "c", "time", "127.0.0.1:4445"), "ProofAddress"},
		"renamed": {bytes.Replace(signed(private, "c", "files", testAddress), []byte("files"), []byte("time"), 1),
			"ProofWrong"},
		"moved": {bytes.Replace(signed(private, "c", "time", "127.0.0.1:4445"), []byte("4445"), []byte("4444"), 1),
			"ProofWrong"},
		"truncated":    {signed(private, "c", "time", testAddress)[:100], "ProofMissing"},
		"no signature": {[]byte(magic + `{"proof":{"server":"time","address":"` + testAddress + `"}}`), "ProofWrong"},
		"no proof":     {[]byte(magic + `{"mode":"direct"}`), "ProofMissing"},
		"null":         {[]byte(magic + `{"proof":null}`), "ProofMissing"},
		"not JSON":     {[]byte(magic + `x`), "ProofMissing"},
		"short signature": {[]byte(magic + `{"proof":{"server":"time","address":"` + testAddress + `","signature":"AAAA"}}`),
			"ProofWrong"},
	} {
		got := k.verify(keys, "c", c.line, testAddress)
		if (got == nil) != (c.reason == "") || got != nil && got.Reason != c.reason {
			t.Errorf("%s: %+v, want %q", name, got, c.reason)
		}
	}
}

func TestAddressesAreCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "[::ffff:10.0.0.1]:4444": "10.0.0.1:4444", "[fd00:0:0::1]:4444": "[fd00::1]:4444",
		"[fe80::1%lo]:5": "[fe80::1]:5",
	} {
		address, err := net.ResolveTCPAddr("tcp", in)
		must(t, err)
		if got := canonical(address); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func writePublicKey(t *testing.T, path string, key any) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
}

func TestAFolderOfKeysIsReadWithoutTheKubeletsLinks(t *testing.T) {
	folder := t.TempDir()
	k := gatewayKeys{folder: folder, server: "time"}
	if got := k.missing(); len(got) != 1 || !strings.Contains(got[0], "holds no public key") {
		t.Fatal(got)
	}
	public, _ := newKey(t)
	writePublicKey(t, filepath.Join(folder, "a.pem"), public)
	must(t, os.Mkdir(filepath.Join(folder, "..2026"), 0o700))
	if keys, err := k.load(); err != nil || len(keys) != 1 || k.missing() != nil {
		t.Fatal(keys, err)
	}
	for name, content := range map[string]string{"text": "x", "private": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"} {
		path := filepath.Join(folder, "b.pem")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := k.load(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzProof(f *testing.F) {
	public, private := newKey(f)
	k := gatewayKeys{server: "time"}
	f.Add([]byte(magic+`{"proof":{"server":"time","address":"127.0.0.1:4444","signature":"AAAA"}}`), "c")
	f.Add(signed(private, "other", "time", testAddress), "c")
	f.Add([]byte(magic+`{"proof":[]}`), "")
	f.Fuzz(func(t *testing.T, line []byte, challenge string) {
		if challenge == "other" {
			return
		}
		refused := k.verify([]ed25519.PublicKey{public}, challenge, line, testAddress)
		if refused == nil {
			t.Fatalf("%q was accepted", line)
		}
		if refused.Error != "access" || refused.Reason == "" || bytes.Count(controlLine(*refused), []byte("\n")) != 1 {
			t.Fatalf("%+v", refused)
		}
	})
}
