package transit

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Config says where the Vault is and which key.
type Config struct {
	Address   string // https://host:port
	Mount     string // of the transit engine; "transit" where it is empty
	Key       string // the key's name
	Namespace string // of Vault Enterprise; usually empty
	TokenFile string // holds the token; read again when it changes and when the token is refused
	CAFile    string // PEM certificates that the server's must come from; the system's where it is empty
	// PlainHTTPUnsafe allows an address with http://: vendor keys and the token then pass in the clear.
	PlainHTTPUnsafe bool
}

const (
	connectBound  = 5 * time.Second
	answerBound   = 15 * time.Second // one attempt
	callBound     = time.Minute      // with all attempts
	retries       = 3
	maxTokenBytes = 64 << 10
)

var (
	mountSyntax = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	keySyntax   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

// connect makes a client. It sends nothing, and takes nothing from the environment.
func connect(cfg Config) (*KEK, error) {
	if cfg.Mount == "" {
		cfg.Mount = "transit"
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	token := &tokenFile{path: cfg.TokenFile}
	if _, err := token.read(); err != nil {
		return nil, err
	}
	client, err := api.NewClient(&api.Config{Address: cfg.Address, MaxRetries: retries, MinRetryWait: 100 * time.Millisecond,
		MaxRetryWait: time.Second, Timeout: answerBound, HttpClient: &http.Client{Transport: transport, CheckRedirect: noRedirect}})
	if err != nil {
		return nil, fault.Invalidf("address", "%q: %v", cfg.Address, err)
	}
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}}) // none of those that the environment may name
	if cfg.Namespace != "" {
		client.SetNamespace(cfg.Namespace)
	}
	return &KEK{client: client, token: token, mount: cfg.Mount, key: cfg.Key}, nil
}

// noRedirect leaves redirects to the client, which follows none to plain HTTP.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c Config) check() error {
	u, err := url.Parse(c.Address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.Invalidf("address", "%q is not https://host:port", c.Address)
	case u.Scheme == "http" && !c.PlainHTTPUnsafe:
		return fault.Invalidf("address", "%q has no TLS: keys would pass in the clear", c.Address).WithAdvice("use https")
	case !mountSyntax.MatchString(c.Mount):
		return fault.Invalidf("mount", "%q is not the path of an engine", c.Mount)
	case !keySyntax.MatchString(c.Key):
		return fault.Invalidf("key", "%q is not the name of a key", c.Key)
	}
	return nil
}

func (c Config) transport() (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fault.Invalidf("CA file", "%v", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.Invalidf("CA file", "%s holds no PEM certificate", c.CAFile)
		}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectBound}).DialContext,
		TLSClientConfig:     conf,
		TLSHandshakeTimeout: connectBound,
		IdleConnTimeout:     30 * time.Second,
		ForceAttemptHTTP2:   true,
	}, nil
}

// tokenFile is a token in a file that another program renews.
type tokenFile struct {
	path string

	mu    sync.Mutex
	stamp time.Time
	size  int64
	token string
}

// current returns the token, read again if the file has changed.
func (t *tokenFile) current() (string, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return "", noToken(err)
	}
	t.mu.Lock()
	same, token := info.ModTime().Equal(t.stamp) && info.Size() == t.size, t.token
	t.mu.Unlock()
	if same {
		return token, nil
	}
	return t.read()
}

// read reads the file.
func (t *tokenFile) read() (string, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return "", noToken(err)
	}
	if info.Size() > maxTokenBytes {
		return "", fault.Invalidf("token file", "%s has %d bytes, at most %d are a token", t.path, info.Size(), maxTokenBytes)
	}
	b, err := os.ReadFile(t.path)
	if err != nil {
		return "", noToken(err)
	}
	token := string(bytes.TrimSpace(b))
	if token == "" {
		return "", fault.Invalidf("token file", "%s is empty", t.path)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stamp, t.size, t.token = info.ModTime(), info.Size(), token
	return token, nil
}

func noToken(err error) error {
	return fault.Invalidf("token file", "%v", err).WithAdvice("write a Vault token into it, for the service's user only")
}
