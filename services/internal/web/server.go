package web

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

const (
	headerTime     = 10 * time.Second
	requestTime    = 30 * time.Second
	answerTime     = time.Minute
	idleTime       = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// NewServer makes an HTTPS server for h that shows the certificate of config and asks clients for none.
func NewServer(h http.Handler, config *tls.Config, logger *slog.Logger) *http.Server {
	config = config.Clone()
	config.ClientAuth = tls.NoClientCert
	config.ClientCAs = nil
	return &http.Server{
		Handler:           h,
		TLSConfig:         config,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // mostly of scanners that give up
	}
}
