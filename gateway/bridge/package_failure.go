package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// An installFailure is why a package cannot be installed: a reason for programs, and a message for people.
type installFailure struct{ Reason, Message string }

func (e *installFailure) Error() string { return e.Message }

// cause is what npm and uv write, and what it means; the first that matches counts.
var causes = []struct {
	pattern, reason, meaning string
}{
	{`ENOSPC|EDQUOT|No space left on device|Disk quota exceeded`, "DiskFull", "the volume is full: give package.cache a larger size"},
	{`UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|SELF_SIGNED_CERT|DEPTH_ZERO|ERR_TLS|CERT_HAS_EXPIRED|CertificateRequired|invalid peer certificate|certificate verify`,
		"RegistryNotTrusted", "the registry's certificate is not trusted: give its authority in packages.caBundle"},
	{`\b(?:E401|E403|ENEEDAUTH|EOTP)\b|401 Unauthorized|403 Forbidden|authentication credentials`, "RegistryDenied",
		"the registry refuses the credentials, or wants some: check packages.credentials"},
	{`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET|EIDLETIMEOUT|network request|\bE5\d\d\b|dns error|error sending request|Failed to fetch.*\n.*(?:Connect|timed out|50\d)|Connection refused|operation timed out|50\d (?:Internal|Bad|Service|Gateway)`,
		"RegistryUnreachable", "the registry cannot be reached"},
	{`ETARGET|No matching version|there is no version of`, "VersionNotFound", "there is no such version"},
	{`no wheels? with a matching|no usable wheels|has no wheels|only-binary|requires? building|EBADPLATFORM|not compatible with (?:the|your) (?:current )?platform`, "PlatformNotSupported",
		"it has no build for this platform and this Python: try another package.python, or allowInstallScripts to build it"},
	{`\bE404\b|404 Not Found|was not found in the package registry|not found in the registry`, "PackageNotFound", "there is no such package"},
	{`Python interpreter|No interpreter found|Requires-Python|Python(?: version)?\s?[<>=]|depends on Python|EBADENGINE`, "RuntimeNotSupported",
		"it needs another version of Python or Node: set package.python to one that the runner image has"},
	{`ERESOLVE|requirements are unsatisfiable`, "RequirementsConflict", "it and what it requires do not fit together"},
	{`EUNSUPPORTEDPROTOCOL|git dep preparation|EALLOWGIT|spawn git`, "NoIntegrity", "it needs a package from git, whose content may change: use packages of a registry only"},
}

var (
	clientNoise  = regexp.MustCompile(`^(?:npm (?:error|ERR!|warn)\s*)?(?:code \w+|errno .*|A complete log of this run.*|.*\.log)?$`)
	clientPrefix = regexp.MustCompile(`^(?:npm (?:error|ERR!)(?: (?:\d{3}|notarget))?|error:|[×╰─▶\s]+)\s*`)
	urlUser      = regexp.MustCompile(`://[^/@\s]+@`)
)

const longestCause = 300 // bytes of the client's own words

// diagnose is the failure that a client's output is about, without credentials of URLs.
func diagnose(subject, output, exit string) error {
	text := urlUser.ReplaceAllString(output, "://")
	words := ownWords(text)
	if words == "" {
		words = exit + ", without a word"
	}
	for _, c := range causes {
		if regexp.MustCompile("(?i)" + c.pattern).MatchString(text) {
			return &installFailure{c.reason, fmt.Sprintf("%s: %s (%s)", subject, c.meaning, words)}
		}
	}
	return &installFailure{"InstallFailed", subject + ": " + words}
}

func ownWords(text string) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if clientNoise.MatchString(line) {
			continue
		}
		if line = clientPrefix.ReplaceAllString(line, ""); line != "" {
			lines = append(lines, line)
		}
	}
	words := strings.Join(lines, " / ")
	if len(words) > longestCause {
		words = strings.ToValidUTF8(words[:longestCause], "") + "…"
	}
	return words
}

// installFailureOf gives a reason to every error.
func installFailureOf(err error) *installFailure {
	var failure *installFailure
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &installFailure{"DiskFull", "the volume is full: give package.cache a larger size (" + err.Error() + ")"}
	default:
		return &installFailure{"InstallFailed", err.Error()}
	}
}
