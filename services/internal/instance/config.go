// Package instance is one process of the service: it wires the parts that its roles need and gives each its place in the
// order of start and shutdown. It holds no logic of its own, and nothing but programs and tests should know of it.
package instance

import (
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/countersign-escrow/countersign/services/internal/config"
)

// The addresses where nothing else is said.
const (
	DefaultListen = config.DefaultListen
	DefaultHTTP   = config.DefaultHTTP
)

// UnknownCountry is the operator's country where none is said: a code that ISO 3166-1 leaves to users and CLDR reads as
// unknown.
const UnknownCountry = "ZZ"

// Config is how a process runs. Only Data or Shared is needed.
type Config struct {
	Data   string         // the whole service in this folder, which is made at the first start
	Shared *config.Config // or one process of many, as the file says

	Listen     string       // where gRPC listens, host:port; port 0 takes a free one
	HTTP       string       // where HTTPS listens
	Names      []string     // more host names and addresses for the server certificate
	Country    string       // the operator's, ISO 3166-1; for the first start, and checked at later ones
	Runtime    string       // OCI runtime for rebuilds, by name or path; runc if ""
	Workers    int          // rebuilds at the same time; 1 if 0
	Reflection bool         // answer gRPC reflection
	Logger     *slog.Logger // slog.Default() if nil

	CheckpointInterval time.Duration // between two checkpoints of the log; the shortest there is if 0
	Grace              time.Duration // for what runs at shutdown; 10 seconds if 0
}

// FromFile is a process as the configuration file says.
func FromFile(f *config.Config) Config {
	return Config{
		Shared: f, Listen: f.Listen, HTTP: f.HTTP, Names: f.Names, Country: f.OperatorCountry,
		Runtime: f.Runtime, Workers: f.RebuildWorkers, Reflection: f.Reflection,
	}
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.HTTP == "" {
		c.HTTP = DefaultHTTP
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	return c
}

// has says whether the process has a role. The embedded form has all.
func (c Config) has(r config.Role) bool { return c.Shared == nil || c.Shared.Has(r) }

// roles are what the process does, for people.
func (c Config) roles() string {
	var list []string
	for _, r := range []config.Role{config.API, config.Worker} {
		if c.has(r) {
			list = append(list, string(r))
		}
	}
	return strings.Join(list, ",")
}

// host is the name of the machine, for people.
func host() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// names are what the server certificate is good for.
func (c Config) names() []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.Names...)
	for _, address := range []string{c.Listen, c.HTTP} {
		host, _, err := net.SplitHostPort(address)
		if err == nil && host != "" && !unspecified(host) {
			names = append(names, host)
		}
	}
	return names
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// reach returns the address under which this machine reaches a listener.
func reach(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil || !unspecified(host) {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", port)
}
