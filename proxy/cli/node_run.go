package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ockam/proxy/control"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel"
)

// A localNode is a node that this process runs.
type localNode struct {
	name   string
	store  *store
	node   *node.Background
	first  bool // it is the first one, and so the default
	detach func()
	unlock func()

	web    net.Listener   // of the HTTP server; nil: there is none
	endWeb func()         // ends the HTTP server, or just its listener
	wg     sync.WaitGroup // the HTTP server
}

// startNode starts a node in this process and records that it runs.
func (c *console) startNode(ctx context.Context, s *store, o *createFlags) (n *localNode, err error) {
	log, err := c.logOfNode(o)
	if err != nil {
		return nil, err
	}
	if o.child {
		if o.Server, err = serverFromEnvironment(); err != nil {
			return nil, err
		}
	}
	trust, err := s.trust(ctx, &o.nodeSettings)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lockNode(ctx, o.name)
	if err != nil {
		return nil, err
	}
	if err := o.orphaned(); err != nil {
		unlock()
		return nil, err
	}
	was, err := s.NamedNode(ctx, o.name)
	if errors.Is(err, state.ErrNotFound) {
		was, err = nil, nil
	}
	var rec *state.Node
	var created bool
	if err == nil {
		rec, created, err = s.recordNode(ctx, o, c.verbosity)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	n = &localNode{name: o.name, store: s, first: created && rec.Default, detach: func() {}, unlock: unlock, endWeb: func() {}}
	defer func() {
		if err == nil {
			return
		}
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, n.end(ctx), s.putBack(ctx, o.name, was))
		n.unlock() // from now on the record may be that of the next one
		if was == nil {
			s.RemoveLock(o.name)
		}
	}()
	if o.HTTP {
		if n.web, err = listenHTTP(ctx, o.HTTPPort, rec.HTTPAddress); err != nil {
			return n, err
		}
		n.endWeb = func() { _ = n.web.Close() }
	}
	return n, n.begin(ctx, o, o.background(s, trust, log))
}

// orphaned is why a node in the background is not to run: who asked for it was
// ended, and whoever comes next may be about to delete or to make it.
func (o *createFlags) orphaned() error {
	if o.child && nobodyReads(os.Stdout) {
		return errors.New("who started the node has ended")
	}
	return nil
}

// background is how the node begins.
func (o *createFlags) background(s *store, trust node.Trust, log *zap.Logger) node.BackgroundOptions {
	options := node.BackgroundOptions{
		Name: o.name, Identity: o.identity, Listen: o.listen, Store: s.Store, Log: log,
		NoDefaultServices: o.Launch != nil, ChannelListener: o.Launch.listener(), Trust: trust,
		Server: o.Server, Projects: s.projects,
	}
	if o.UDP {
		options.Rendezvous = o.Rendezvous
	}
	return options
}

// begin starts the node, its node API and its HTTP server, and records that they
// run. What has been started when it fails is for end.
func (n *localNode) begin(ctx context.Context, flags *createFlags, o node.BackgroundOptions) (err error) {
	n.node, err = node.StartBackground(ctx, o)
	if errors.Is(err, node.ErrChannelListener) {
		return &failure{err: err, status: exitCannotCreate}
	}
	if err != nil {
		return fmt.Errorf("the node %s cannot be started: %w", n.name, err)
	}
	if o.Server == nil { // who serves a project serves nothing else
		detach, err := control.Attach(n.node)
		if err != nil {
			return err
		}
		n.detach = detach
	}
	n.serveHTTP(o.Log)
	if err := flags.orphaned(); err != nil {
		return err
	}
	_, err = n.store.NodeStarted(ctx, n.name, func(rec *state.Node) error {
		rec.ListenerAddress, rec.HTTPAddress = n.node.Addr(), ""
		if n.web != nil {
			rec.HTTPAddress = n.web.Addr().String()
		}
		return nil
	})
	return err
}

// logOfNode returns what a node in this process logs to: its files in the
// background, else the console with -v, else the log of the command if there is
// one.
func (c *console) logOfNode(o *createFlags) (*zap.Logger, error) {
	switch {
	case o.child:
		folder, err := nodeFolder(o.name)
		if err != nil {
			return nil, err
		}
		level := c.logLevel(choice{value: "info"})
		if fromEnv := envLogLevel(); fromEnv != "" && c.verbosity <= 2 { // as many as every background node has
			level = fromEnv
		}
		if err := c.logTo(folder, level); err != nil {
			return nil, err
		}
		// Whoever started the node hears no more than that it answers.
		c.logFile.crashes, c.stderr, c.lines, c.quiet = true, &lockedWriter{w: c.logFile}, nil, true
		return c.log, nil
	case c.lines != nil:
		return c.lines.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return sampled(core).Core() })), nil
	case c.log != nil:
		return c.log, nil
	}
	return zap.NewNop(), nil
}

// listenHTTP listens on this machine, at the port that is asked for. If it is 0,
// at the one that the node had before, if that is free.
func listenHTTP(ctx context.Context, port uint16, before string) (net.Listener, error) {
	at := func(port string) (net.Listener, error) {
		return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	}
	if _, old, err := net.SplitHostPort(before); err == nil && port == 0 {
		if lis, err := at(old); err == nil {
			return lis, nil
		}
	}
	lis, err := at(strconv.Itoa(int(port)))
	if err != nil {
		return nil, &failure{err: fmt.Errorf("the HTTP server of the node cannot be started: %w", err), help: "Choose another port with --http-server-port, or any with --http-server."}
	}
	return lis, nil
}

// serveHTTP answers HTTP requests until close, if the node has a listener for
// them.
func (n *localNode) serveHTTP(log *zap.Logger) {
	if n.web == nil {
		return
	}
	var ctx context.Context
	ctx, n.endWeb = context.WithCancel(context.Background())
	w := &control.Web{Node: n.node, Version: version, ErrorLog: zap.NewStdLog(log)}
	n.wg.Go(func() {
		if err := w.Serve(ctx, n.web); err != nil {
			log.Error("the HTTP server has ended", zap.Error(err))
		}
	})
}

// lockPatience is how long a node that is started waits for one of its name that
// is just ending.
const lockPatience = 5 * time.Second

// lockNode locks the name of a node. Nobody starts one that is recorded as running:
// a process that has the name is ending, or gives up once it notices that who
// started it has ended, at the latest when it says that it runs. It is waited for.
func (s *store) lockNode(ctx context.Context, name string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		unlock, err = s.LockNode(name)
		if _, held := errors.AsType[*state.HeldError](err); !held {
			return unlock, err
		}
		if !tunnel.Sleep(ctx, 5*time.Millisecond) {
			return nil, err
		}
	}
}

// putBack makes the record of a node that could not be started what it was
// before; nil: there was none. One that runs all the same is left alone.
func (s *store) putBack(ctx context.Context, name string, was *state.Node) error {
	rec, err := s.NamedNode(ctx, name)
	switch {
	case errors.Is(err, state.ErrNotFound) || err == nil && rec.Running():
		return nil
	case err != nil:
		return err
	case was == nil:
		return s.DeleteNode(ctx, name)
	}
	_, err = s.UpdateNode(ctx, name, func(n *state.Node) error {
		n.Identity, n.Options, n.Verbosity = was.Identity, was.Options, was.Verbosity
		n.ListenerAddress, n.HTTPAddress = was.ListenerAddress, was.HTTPAddress
		return nil
	})
	return err
}

// recordNode makes the record of a node, or changes the one that there is.
func (s *store) recordNode(ctx context.Context, o *createFlags, verbosity int) (rec *state.Node, created bool, err error) {
	options, err := json.Marshal(&o.nodeSettings)
	if err != nil {
		return nil, false, err
	}
	rec, err = s.CreateNode(ctx, state.Node{Name: o.name, Identity: o.identity, Options: options, Verbosity: verbosity, Authority: o.Server != nil})
	if !errors.Is(err, state.ErrExists) {
		return rec, err == nil, err
	}
	rec, err = s.UpdateNode(ctx, o.name, func(rec *state.Node) error {
		rec.Identity, rec.Options, rec.Verbosity, rec.Authority = o.identity, options, verbosity, o.Server != nil
		return nil
	})
	return rec, false, err
}

// run runs the node until ctx ends and what is under way has ended.
func (n *localNode) run(ctx context.Context) { n.node.Run(ctx, nodeDrain) }

// close ends the node and gives its name back.
func (n *localNode) close(ctx context.Context) error {
	defer n.unlock()
	return n.end(ctx)
}

// end ends the node and records that it does not run.
func (n *localNode) end(ctx context.Context) error {
	n.detach()
	if n.node != nil {
		n.node.Close()
	}
	n.endWeb() // until now it has told that the node ends
	n.wg.Wait()
	return n.store.NodeStopped(ctx, n.name, state.Self())
}
