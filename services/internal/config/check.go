package config

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-escrow/countersign/services/internal/problem"
)

// maxRebuildWorkers bounds rebuild_workers: more is a slip of the finger.
const maxRebuildWorkers = 256

// checker looks at what types do not say.
type checker struct {
	*problem.Collector
	lines map[string]int
}

// wrong notes a mistake on the line of the field, or of the nearest one around it.
func (c *checker) wrong(field, format string, args ...any) {
	at := field
	for {
		if line, ok := c.lines[at]; ok {
			c.Add(line, field, format, args...)
			return
		}
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
	}
}

func (c *checker) config(cfg *Config) {
	c.roles(cfg.Roles)
	c.address("listen", cfg.Listen)
	c.address("http", cfg.HTTP)
	for i, name := range cfg.Names {
		c.host("names["+strconv.Itoa(i)+"]", name)
	}
	if !country.MatchString(cfg.OperatorCountry) {
		c.wrong("operator_country", "must be a country as ISO 3166-1 has it, two capital letters, such as CH")
	}
	c.database(&cfg.Database)
	c.objects(&cfg.Objects)
	for field, path := range map[string]string{"keys": cfg.Keys, "log": cfg.Log, "work": cfg.Work} {
		c.required(field, path)
	}
	c.kek("kek", &cfg.KEK)
	for i := range cfg.FormerKEKs {
		c.kek("former_keks["+strconv.Itoa(i)+"]", &cfg.FormerKEKs[i])
	}
	if cfg.RebuildWorkers < 1 || cfg.RebuildWorkers > maxRebuildWorkers {
		c.wrong("rebuild_workers", "is %d, must be 1 to %d", cfg.RebuildWorkers, maxRebuildWorkers)
	}
	if cfg.LogFormat != "text" && cfg.LogFormat != "json" {
		c.wrong("log_format", "is %q, must be text or json", cfg.LogFormat)
	}
}

var (
	country  = regexp.MustCompile(`^[A-Z]{2}$`)
	hostName = regexp.MustCompile(`^(?i)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*$`)
	bucket   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	word     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)
)

func (c *checker) required(field, value string) {
	if value == "" {
		c.wrong(field, "is missing")
	}
}

func (c *checker) roles(roles []Role) {
	for i, r := range roles {
		field := "roles[" + strconv.Itoa(i) + "]"
		if r != API && r != Worker {
			c.wrong(field, "is %q, must be %s or %s", r, API, Worker)
		} else if slices.Contains(roles[:i], r) {
			c.wrong(field, "is given twice")
		}
	}
}

func (c *checker) address(field, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		c.wrong(field, "is %q, must be host:port", address)
	}
}

func (c *checker) host(field, name string) {
	if net.ParseIP(name) == nil && !hostName.MatchString(name) {
		c.wrong(field, "is %q, must be a host name or an address, without a port", name)
	}
}

func (c *checker) database(d *Database) {
	switch {
	case (d.URL == "") == (d.URLFile == ""):
		c.wrong("database", "must have either url or url_file")
	case d.URLFile != "":
		if d.PasswordFile != "" {
			c.wrong("database.password_file", "goes with url only: the URL in url_file has its password itself")
		}
	default:
		if u, err := url.Parse(d.URL); err == nil && hasPassword(u) {
			c.wrong("database.url", "holds a password: put that into a file and name it in password_file")
		} else if err := checkDatabaseURL(d.URL, d.PlaintextUnsafe); err != nil {
			c.wrong("database.url", "%v", err)
		}
	}
}

func (c *checker) objects(o *Objects) {
	if (o.Folder == "") == (o.S3 == nil) {
		c.wrong("objects", "must have either folder or s3")
		return
	}
	s := o.S3
	if s == nil {
		return
	}
	c.service("objects.s3.endpoint", s.Endpoint, s.PlaintextUnsafe)
	if !bucket.MatchString(s.Bucket) {
		c.wrong("objects.s3.bucket", "is %q, must be 3 to 63 of a-z, 0-9, '.' and '-'", s.Bucket)
	}
	if s.Prefix != "" && !word.MatchString(s.Prefix) {
		c.wrong("objects.s3.prefix", "is %q, must be letters, digits, '.', '_', '/' and '-'", s.Prefix)
	}
	if (s.AccessKeyFile == "") != (s.SecretKeyFile == "") {
		c.wrong("objects.s3", "must have both access_key_file and secret_key_file, or neither")
	}
}

func (c *checker) kek(field string, k *KEK) {
	if (k.File == "") == (k.Vault == nil) {
		c.wrong(field, "must have either file or vault")
		return
	}
	v := k.Vault
	if v == nil {
		return
	}
	field += ".vault"
	c.service(field+".address", v.Address, v.PlaintextUnsafe)
	for name, value := range map[string]string{"mount": v.Mount, "key": v.Key} {
		if !word.MatchString(value) {
			c.wrong(field+"."+name, "is %q, must be letters, digits, '.', '_', '/' and '-'", value)
		}
	}
	c.required(field+".token_file", v.TokenFile)
}

// service checks the URL of another service.
func (c *checker) service(field, raw string, plaintext bool) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		c.wrong(field, "must be https://host:port")
	case u.User != nil:
		c.wrong(field, "holds a user or a password")
	case u.Scheme == "http" && !plaintext && !local(u.Hostname()):
		c.wrong(field, "is not encrypted on its way: use https://, or say plaintext_unsafe: true")
	}
}

// local says whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
