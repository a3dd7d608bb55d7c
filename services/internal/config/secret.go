package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// maxSecret bounds a file with a secret.
const maxSecret = 64 << 10

// notForOthers are the bits of a mode that let others read a file, or those of its group change it.
const notForOthers = 0o027

// Secret returns what a file holds, without the end of its line. A file that others may use is refused.
func Secret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode(); !mode.IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	} else if mode.Perm()&notForOthers != 0 {
		return "", fmt.Errorf("%s has mode %04o, so that others may use it: run `chmod 0600 %s`", path, mode.Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || len(b) > maxSecret || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s must hold one line of at most %d bytes", path, maxSecret)
	}
	return secret, nil
}

// Source returns the URL to connect with, its password included. It is not for the eyes of others.
func (d Database) Source() (string, error) {
	if d.URLFile != "" {
		raw, err := Secret(d.URLFile)
		if err != nil {
			return "", fmt.Errorf("database.url_file: %w", err)
		}
		if err := checkDatabaseURL(raw, d.PlaintextUnsafe); err != nil {
			return "", fmt.Errorf("database.url_file: the URL in %s %w", d.URLFile, err)
		}
		return raw, nil
	}
	if d.PasswordFile == "" {
		return d.URL, nil
	}
	password, err := Secret(d.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("database.password_file: %w", err)
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return "", errors.New("database.url: is no URL")
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

// checkDatabaseURL says what is wrong with a URL, without repeating it: it may hold a password.
func checkDatabaseURL(raw string, plaintext bool) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || strings.Trim(u.Path, "/") == "" {
		return errors.New("must be postgres://user@host:port/database")
	}
	host := u.Hostname()
	if h := u.Query().Get("host"); h != "" {
		host = h
	}
	proves := u.Query().Get("sslmode") == "verify-full"
	if !proves && !plaintext && host != "" && !strings.HasPrefix(host, "/") && !local(host) {
		return errors.New("must have sslmode=verify-full, so that TLS proves which machine answers, or plaintext_unsafe: true beside it")
	}
	return nil
}

// hasPassword says whether a database's URL holds a password, in either of the places where there can be one.
func hasPassword(u *url.URL) bool {
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

// Secrets says what is wrong with the files that the configuration names, as far as this process can tell by reading them.
func (c *Config) Secrets() error {
	var errs []error
	read := func(field, path string) {
		if path != "" {
			if _, err := Secret(path); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
			}
		}
	}
	_, err := c.Database.Source()
	errs = append(errs, err)
	if s := c.Objects.S3; s != nil {
		read("objects.s3.access_key_file", s.AccessKeyFile)
		read("objects.s3.secret_key_file", s.SecretKeyFile)
	}
	for _, k := range c.keks() {
		if k.Vault != nil {
			read("vault.token_file", k.Vault.TokenFile)
		}
	}
	return errors.Join(errs...)
}
