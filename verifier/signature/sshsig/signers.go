package sshsig

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

// line is one key of an allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS), for whom, for what and when it counts.
type line struct {
	number     int // from 1
	names      string
	principals patterns
	namespaces patterns
	authority  bool // the key certifies others and signs nothing itself
	life       proof.Life
	key        ssh.PublicKey
}

// ours are the namespaces of a line that names none. ssh-keygen allows all then; here are no others.
var ours = patterns{{text: NamespaceFile}, {text: NamespaceGit}}

// parseSigners reads an allowed-signers file as a whole: one line that cannot be read makes all of it unreadable, since it may be the one that
// forbids something. ssh-keygen passes over such a line with a warning.
func parseSigners(text string) ([]*line, error) {
	if len(text) > maxSignersText {
		return nil, fmt.Errorf("the allowed-signers file has %d bytes, %d at most", len(text), maxSignersText)
	}
	var lines []*line
	for i, s := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		s = strings.Trim(s, " \t\r")
		if s == "" || s[0] == '#' {
			continue
		}
		if len(lines) == maxLines {
			return nil, fmt.Errorf("line %d: the allowed-signers file has more than %d keys", i+1, maxLines)
		}
		l, err := parseLine(s)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		l.number = i + 1
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("the allowed-signers file has no key")
	}
	return lines, nil
}

// parseLine reads principals, options and key. Where the line begins with the key, as .pub files do, it counts for anybody.
func parseLine(s string) (*line, error) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return nil, fmt.Errorf("has characters that are no text")
	}
	l := &line{names: "*", principals: patterns{{text: "*"}}, namespaces: ours}
	if word, _ := cutField(s); !isKeyType(word) {
		var rest string
		var err error
		if l.names, rest, err = cutPrincipals(s); err != nil {
			return nil, err
		}
		if !printable(l.names) {
			return nil, fmt.Errorf("principals: %s has characters that do not print", shown(l.names))
		}
		if strings.EqualFold(l.names, "cert-authority") {
			return nil, fmt.Errorf("principals: %s is an option; put for whom the authority certifies before it, such as *", shown(l.names))
		}
		if l.principals, err = parsePatterns(l.names); err != nil {
			return nil, fmt.Errorf("principals: %w", err)
		}
		if word, _ := cutField(rest); !isKeyType(word) {
			if rest, err = l.parseOptions(rest); err != nil {
				return nil, err
			}
		}
		s = strings.TrimLeft(rest, " \t")
	}
	return l, l.parseKey(s)
}

// printable says whether a text shows all that it has.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// cutField splits at the first blank.
func cutField(s string) (field, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// cutPrincipals splits the first field off, which may stand in quotes.
func cutPrincipals(s string) (field, rest string, err error) {
	if s[0] != '"' {
		field, rest = cutField(s)
		if strings.Contains(field, `"`) {
			return "", "", fmt.Errorf("principals: a quote stands inside %s", shown(field))
		}
		return field, rest, nil
	}
	field, rest, ok := strings.Cut(s[1:], `"`)
	if !ok || strings.TrimLeft(rest, " \t") == rest {
		return "", "", fmt.Errorf("principals: the quote is not closed before a blank")
	}
	return field, strings.TrimLeft(rest, " \t"), nil
}

// isKeyType knows the words that a key begins with, those of certificates and DSA included, so that they are refused as such.
func isKeyType(word string) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return false
}

// parseKey reads type, base64 and a comment that says nothing.
func (l *line) parseKey(s string) error {
	kind, rest := cutField(s)
	text, _ := cutField(rest)
	if !isKeyType(kind) {
		return fmt.Errorf("has no key where %s stands: the order is principals, options, key type, key", shown(kind))
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("the key is no base64: %w", err)
	}
	if l.key, err = ssh.ParsePublicKey(b); err != nil {
		return fmt.Errorf("the key cannot be read: %s", shown(err.Error()))
	}
	if l.key.Type() != kind {
		return fmt.Errorf("the key is of the type %s and is called %s", shown(l.key.Type()), shown(kind))
	}
	if _, ok := l.key.(*ssh.Certificate); ok {
		return fmt.Errorf("holds a certificate: give the key of its authority, with the option cert-authority")
	}
	return checkKey(l.key)
}

// parseOptions reads comma-separated options up to a blank outside quotes, and returns what follows. Names are in any case.
func (l *line) parseOptions(s string) (rest string, err error) {
	seen := make(map[string]bool)
	for {
		end := strings.IndexAny(s, "=, \t")
		if end < 0 {
			return "", fmt.Errorf("has no key")
		}
		name, value, quoted := strings.ToLower(s[:end]), "", s[end] == '='
		if s = s[end:]; quoted {
			if value, s, err = cutQuoted(s[1:]); err != nil {
				return "", fmt.Errorf("option %s: %w", shown(name), err)
			}
		}
		if seen[name] {
			return "", fmt.Errorf("option %s: is given twice", shown(name))
		}
		seen[name] = true
		if err := l.setOption(name, value, quoted); err != nil {
			return "", fmt.Errorf("option %s: %w", shown(name), err)
		}
		if s == "" || s[0] != ',' {
			return s, l.checkLife()
		}
		s = s[1:]
	}
}

// cutQuoted reads a value in quotes, in which \" stands for a quote; a comma, a blank or the end must follow.
func cutQuoted(s string) (value, rest string, err error) {
	if s == "" || s[0] != '"' {
		return "", "", fmt.Errorf("the value must stand in quotes")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
			b.WriteByte('"')
		case s[i] == '"':
			if rest = s[i+1:]; rest != "" && !strings.ContainsAny(rest[:1], ", \t") {
				return "", "", fmt.Errorf("something follows the quote")
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("the quote is not closed")
}

func (l *line) setOption(name, value string, hasValue bool) (err error) {
	switch {
	case name == "cert-authority" && !hasValue:
		l.authority = true
	case name == "namespaces" && hasValue:
		l.namespaces, err = parsePatterns(value)
	case name == "valid-after" && hasValue:
		l.life.From, err = parseTime(value)
	case name == "valid-before" && hasValue:
		// The instant that is named is the last one at which the key is good.
		if l.life.Until, err = parseTime(value); err == nil {
			l.life.Until = l.life.Until.Add(time.Second)
		}
	default:
		err = fmt.Errorf("is not known: cert-authority, namespaces=\"…\", valid-after=\"…\" and valid-before=\"…\" are")
	}
	return err
}

func (l *line) checkLife() error {
	if !l.life.From.IsZero() && !l.life.Until.IsZero() && !l.life.From.Before(l.life.Until.Add(-time.Second)) {
		return fmt.Errorf("valid-before must be later than valid-after")
	}
	return nil
}

// parseTime reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without Z. It is always UTC: without Z, ssh-keygen takes the time zone of
// the machine that it runs on, and a verdict must not depend on that.
func parseTime(s string) (time.Time, error) {
	digits := strings.TrimSuffix(strings.ToUpper(s), "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) != len(layout) {
			continue
		}
		if t, err := time.Parse(layout, digits); err == nil && t.Unix() > 0 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is no time: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS is, in UTC, with Z behind or without", shown(s))
}
