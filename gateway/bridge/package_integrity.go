package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A lockedPackage is one package of an installation, with the digest that its registry and its lock file have of it.
type lockedPackage struct {
	place     string // npm: its folder; PyPI: its name
	version   string
	integrity string
}

// integrityOf is one digest of all packages. It has no addresses, so that a mirror of the same packages has the same.
func integrityOf(packages []lockedPackage) (string, error) {
	lines := make([]string, 0, len(packages))
	for _, p := range packages {
		if p.integrity == "" {
			return "", &installFailure{"NoIntegrity", fmt.Sprintf("%s %s has no digest in its registry, as is the case for git and "+
				"tarball sources: use packages of a registry only", p.place, p.version)}
		}
		lines = append(lines, p.place+" "+p.version+" "+p.integrity+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
