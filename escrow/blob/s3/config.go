package s3

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/countersign-escrow/countersign/escrow/blob/object"
	"github.com/countersign-escrow/countersign/escrow/fault"
)

// Config says where the bucket is and who asks.
type Config struct {
	Endpoint string // host or host:port, without a scheme
	Bucket   string
	Region   string // us-east-1 where it is empty
	// AccessKey and SecretKey are taken as they are. Where both are empty, the usual places are asked in turn: AWS_… and MINIO_…
	// variables, the AWS credentials file, the machine's role.
	AccessKey string
	SecretKey string
	Prefix    string // before all keys, such as "countersign/"; may be empty
	CAFile    string // PEM certificates that the server's must come from; the system's where it is empty
	// PlainHTTPUnsafe speaks HTTP without TLS: names, times and sizes can be read on the way, and answers forged.
	PlainHTTPUnsafe bool
}

// How long the parts of a request may take.
const (
	connectBound = 10 * time.Second
	answerBound  = time.Minute // until the first byte of an answer
	retries      = 16          // attempts, with pauses that grow to a second: some eight seconds in all
)

// connect makes a client. It sends nothing.
func connect(cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	region := cfg.Region
	if region == "" {
		region = "us-east-1"
	}
	core, err := minio.NewCore(cfg.Endpoint, &minio.Options{Creds: cfg.credentials(), Secure: !cfg.PlainHTTPUnsafe, Region: region,
		Transport: transport, MaxRetries: retries, TrailingHeaders: true})
	if err != nil {
		return nil, fault.Invalidf("endpoint", "%q: %v", cfg.Endpoint, err).WithAdvice("give host:port, without a scheme")
	}
	return &Store{core: core, bucket: cfg.Bucket, prefix: cfg.Prefix, drafts: map[object.Name]bool{}}, nil
}

func (c Config) check() error {
	switch {
	case c.Endpoint == "":
		return fault.Invalidf("endpoint", "is empty").WithAdvice("give host:port, without a scheme")
	case c.Bucket == "":
		return fault.Invalidf("bucket", "is empty")
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return fault.Invalidf("access key", "access key and secret key come together or not at all")
	case c.Prefix != "" && (!strings.HasSuffix(c.Prefix, "/") || strings.HasPrefix(c.Prefix, "/")):
		return fault.Invalidf("prefix", "%q must end in a slash and not begin with one", c.Prefix)
	}
	return nil
}

func (c Config) credentials() *credentials.Credentials {
	if c.AccessKey != "" {
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.EnvMinio{},
		&credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: connectBound}}})
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
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectBound, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   connectBound,
		ResponseHeaderTimeout: answerBound,
		IdleConnTimeout:       20 * time.Second, // less than servers keep a connection that nobody uses
		MaxIdleConnsPerHost:   64,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true,
	}, nil
}
