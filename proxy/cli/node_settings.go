package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/secure"
)

// nodeSettings are what a node is created with beyond its name, identity and
// listener. They are kept with its record, so that it is the same when it is
// started again.
type nodeSettings struct {
	Launch *launchConfiguration `json:"launch_configuration,omitempty"`
	// HTTP asks for the HTTP server, at HTTPPort if that is not 0.
	HTTP     bool   `json:"http_server,omitempty"`
	HTTPPort uint16 `json:"http_server_port,omitempty"`
	// Authority is the change history of the authority, in hex.
	Authority string `json:"authority_identity,omitempty"`
	Scope     string `json:"credential_scope,omitempty"`
	// Route leads to the authority; empty: credentials come from the store.
	Route string `json:"authority_route,omitempty"`
	// UDP says that paths over UDP are looked for, with the help of Rendezvous.
	UDP        bool   `json:"udp,omitempty"`
	Rendezvous string `json:"rendezvous_server,omitempty"`
	// Project is the project whose member the node is; empty: none.
	Project string `json:"project,omitempty"`
	// Server says that the node serves a project.
	Server *node.ProjectServer `json:"server,omitempty"`
}

// settingsOf returns the settings that are kept with a record.
func settingsOf(rec *state.Node) (s nodeSettings, err error) {
	if err := json.Unmarshal(rec.Options, &s); err != nil {
		return s, fmt.Errorf("what the node %q was created with cannot be read: %w", rec.Name, err)
	}
	return s, nil
}

// args are the options that ask node create for the same.
func (s *nodeSettings) args() ([]string, error) {
	var args []string
	if s.Launch != nil {
		b, err := json.Marshal(s.Launch)
		if err != nil {
			return nil, err
		}
		args = append(args, "--launch-configuration="+string(b))
	}
	switch {
	case s.HTTPPort != 0:
		args = append(args, "--http-server-port="+strconv.Itoa(int(s.HTTPPort)))
	case s.HTTP:
		args = append(args, "--http-server")
	}
	if s.Authority != "" {
		args = append(args, "--authority-identity="+s.Authority)
	}
	if s.Scope != "" {
		args = append(args, "--credential-scope="+s.Scope)
	}
	if s.Route != "" {
		args = append(args, "--authority-route="+s.Route)
	}
	if s.UDP {
		args = append(args, "--udp")
	}
	if s.Project != "" {
		args = append(args, "--project="+s.Project)
	}
	return args, nil
}

// trust is what the settings of a node say about credentials.
func (s *store) trust(ctx context.Context, o *nodeSettings) (node.Trust, error) {
	switch {
	case o.Server != nil: // follows from that
		return node.Trust{}, nil
	case o.Project != "":
		rec, err := s.knownProject(ctx, o.Project)
		if err != nil || rec.Authority == nil {
			return node.Trust{}, err
		}
		if rec, err = s.nearby(ctx, rec); err != nil {
			return node.Trust{}, err
		}
		find := func(ctx context.Context) (multiaddr.Addr, error) {
			now, err := s.knownProject(ctx, o.Project)
			if err == nil {
				now, err = s.nearby(ctx, now)
			}
			if err != nil {
				return nil, err
			}
			return now.AuthorityRoute, nil
		}
		return node.Trust{Authority: rec.Authority, Scope: scopeOf(rec), Route: rec.AuthorityRoute, Find: find}, nil
	case o.Authority == "":
		return node.Trust{}, nil
	}
	h, err := identity.ParseHistoryText(o.Authority)
	if err != nil {
		return node.Trust{}, err
	}
	t := node.Trust{Authority: h, Scope: o.Scope}
	if o.Route != "" {
		t.Route, err = multiaddr.Parse(o.Route)
	}
	return t, err
}

// projects tells nodes where a project is, and who answers there.
func (s *store) projects(ctx context.Context, name string) (node.ProjectNode, error) {
	rec, err := s.Project(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return node.ProjectNode{}, node.ErrNoProject
	}
	if err != nil {
		return node.ProjectNode{}, err
	}
	near, err := s.nearby(ctx, rec.Record)
	if err != nil {
		return node.ProjectNode{}, err
	}
	return node.ProjectNode{Route: near.AccessRoute, Identifier: near.Identity}, nil
}

// A launchConfiguration says which services a node begins with, in place of
// those that nodes have by default (Ockam protocol, command line, node create).
// What it does not know is ignored.
type launchConfiguration struct {
	Services struct {
		Listener *launchListener `json:"secure_channel_listener,omitempty"`
	} `json:"startup_services"`
}

type launchListener struct {
	Address    string                `json:"address,omitempty"`
	Authorized []identity.Identifier `json:"authorized_identifiers,omitzero"` // none is nobody, absent anyone
	Disabled   bool                  `json:"disabled,omitempty"`
	Identity   string                `json:"identity,omitempty"`
}

// listener returns the channel listener that is asked for; nil: none.
func (l *launchConfiguration) listener() *node.ChannelListenerOptions {
	if l == nil || l.Services.Listener == nil || l.Services.Listener.Disabled {
		return nil
	}
	o := l.Services.Listener
	address := o.Address
	if address == "" {
		address = secure.DefaultName
	}
	return &node.ChannelListenerOptions{Address: address, Authorized: o.Authorized, Identity: o.Identity}
}

// launchValue is the value of an option that takes a launch configuration, or
// the path of a file with one.
type launchValue struct {
	to   **launchConfiguration
	text string
}

// Set reads JSON or the file.
func (v *launchValue) Set(s string) error {
	text := []byte(s)
	if b, err := os.ReadFile(s); err == nil {
		text = b
	}
	l := new(launchConfiguration)
	if err := json.Unmarshal(text, l); err != nil {
		return fmt.Errorf("neither a file nor a launch configuration in JSON: %w", err)
	}
	*v.to, v.text = l, s
	return nil
}

// String returns what was given.
func (v *launchValue) String() string { return v.text }

// Type returns what the help calls the value.
func (v *launchValue) Type() string { return "launch_configuration" }
