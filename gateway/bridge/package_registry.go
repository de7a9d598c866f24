package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
)

// A registry is where packages come from: a mirror with credentials and a certificate authority of its own, or the public one.
type registry struct {
	url         string
	credentials string // folder
	ca          string // file
}

// secret reads one of the credentials; empty if it is not there.
func (r registry) secret(name string) string {
	if r.credentials == "" {
		return ""
	}
	content, err := os.ReadFile(filepath.Join(r.credentials, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// authority is the certificate file, if there is one: a ConfigMap that is absent is an empty mount.
func (r registry) authority() string {
	if _, err := os.Stat(r.ca); r.ca == "" || err != nil {
		return ""
	}
	return r.ca
}

// npmSettings is an .npmrc; credentials are for a registry that is named. Source: npmrc(5).
func (r registry) npmSettings() string {
	lines := []string{}
	if ca := r.authority(); ca != "" {
		lines = append(lines, "cafile="+ca)
	}
	if r.url == "" {
		return strings.Join(lines, "\n") + "\n"
	}
	lines = append(lines, "registry="+r.url)
	scope := "//" + strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(r.url, "https://"), "http://"), "/") + "/:"
	if token := r.secret("token"); token != "" {
		lines = append(lines, scope+"_authToken="+token)
	} else if user := r.secret("username"); user != "" {
		lines = append(lines, scope+"_auth="+base64.StdEncoding.EncodeToString([]byte(user+":"+r.secret("password"))))
	}
	return strings.Join(lines, "\n") + "\n"
}

// uvSettings are the variables of an index. A token is a password of the user __token__, as on PyPI. Source: `uv help pip`, indexes.
func (r registry) uvSettings() []string {
	if r.url == "" {
		return nil
	}
	user, password := r.secret("username"), r.secret("password")
	if token := r.secret("token"); token != "" {
		user, password = "__token__", token
	}
	if user == "" {
		return []string{"UV_DEFAULT_INDEX=" + r.url}
	}
	return []string{"UV_DEFAULT_INDEX=mirror=" + r.url, "UV_INDEX_MIRROR_USERNAME=" + user, "UV_INDEX_MIRROR_PASSWORD=" + password}
}
