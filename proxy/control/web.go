package control

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ockam/proxy/node"
)

// Bounds on what a client of a Web may take up.
const (
	webReadTimeout  = 5 * time.Second
	webWriteTimeout = 10 * time.Second
	webIdleTimeout  = time.Minute
	webMaxHeader    = 16 << 10
	// webLinger is how long answers that have begun may take when Serve ends.
	webLinger = time.Second
)

// A Web is the HTTP server of a node: it tells about the node and changes
// nothing. HEAD / and GET /show are those of the reference implementation
// (Ockam protocol, command line, what runs inside); GET /health and GET /metrics
// are ours. Whatever else is asked for is not found.
type Web struct {
	Node    *node.Background
	Version string // of the program, for /metrics
	// ErrorLog is told what goes wrong with connections; nil: standard error.
	ErrorLog *log.Logger
}

// Serve answers requests that come over l, which ought to be reachable from this
// machine only, until ctx ends. Then it closes l and returns nil once all
// connections have ended.
func (w *Web) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler: w, ErrorLog: w.ErrorLog, MaxHeaderBytes: webMaxHeader,
		ReadHeaderTimeout: webReadTimeout, ReadTimeout: webReadTimeout,
		WriteTimeout: webWriteTimeout, IdleTimeout: webIdleTimeout,
		// A request that waits for the node ends with the server.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), webLinger)
		defer cancel()
		if s.Shutdown(last) != nil {
			_ = s.Close() // what is left is cut
		}
	})
	err := s.Serve(l)
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return errors.Join(err, s.Close())
}

// ofThisMachine reports whether the host that a request is for is this machine by a name
// or address that nobody else can give away: a web page whose name leads here
// must not read what the node tells.
func ofThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// ServeHTTP answers a request; see http.Handler.
func (w *Web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if !ofThisMachine(r.Host) {
		out.WriteHeader(http.StatusNotFound)
		return
	}
	// Empty parts of the path mean nothing, as in the reference implementation.
	path := strings.FieldsFunc(r.URL.Path, func(c rune) bool { return c == '/' })
	switch r.Method + " " + strings.Join(path, "/") {
	case "HEAD ":
		out.WriteHeader(http.StatusOK)
	case "GET show":
		w.show(out, r)
	case "GET health":
		status, text := http.StatusOK, "ok\n"
		if w.Node.Ending() {
			status, text = http.StatusServiceUnavailable, "ending\n"
		}
		respond(out, status, "text/plain; charset=utf-8", []byte(text))
	case "GET metrics":
		respond(out, http.StatusOK, metricsType, appendMetrics(nil, w.about(), w.Node.Metrics()))
	default:
		out.WriteHeader(http.StatusNotFound)
	}
}

func (w *Web) show(out http.ResponseWriter, r *http.Request) {
	a := attached{w.Node}
	resources, err := a.Resources(r.Context())
	if err != nil {
		out.WriteHeader(http.StatusInternalServerError)
		return
	}
	respond(out, http.StatusOK, "application/json", webShow(resources))
}

func respond(out http.ResponseWriter, status int, kind string, body []byte) {
	h := out.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	out.WriteHeader(status)
	_, _ = out.Write(body) // an error is the client's: it has gone
}
