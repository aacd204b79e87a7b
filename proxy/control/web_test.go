package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"ockam/proxy/control"
	"ockam/transports/transporttest"
)

// webOf serves HTTP for a node and returns where. What it returns second ends
// the server and waits for it.
func webOf(t *testing.T, r *running) (addr string, end func()) {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", transporttest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- (&control.Web{Node: r.Background, Version: "1.2.3"}).Serve(ctx, l) }()
	done := false
	end = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return l.Addr().String(), end
}

// request sends a request as it is and returns the answer with its body.
func request(t *testing.T, addr, text string) (*http.Response, string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return r, string(b)
}

func get(t *testing.T, addr, path string) (status int, body string) {
	t.Helper()
	r, body := request(t, addr, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	return r.StatusCode, body
}

// TestWebRecorded replays the requests in testdata/http.json, which were recorded
// from the reference implementation, revision fb8fb64cd.
func TestWebRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/http.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Items []struct {
			Request string
			Status  int
			Length  int `json:"body length"`
		}
	}
	if err := json.Unmarshal(b, &all); err != nil || len(all.Items) < 10 {
		t.Fatalf("%d items, %v", len(all.Items), err)
	}
	addr, _ := webOf(t, background(t, "n", openStore(t)))
	for _, item := range all.Items {
		if item.Request == "GET /show HTTP/1.1\r\n\r\n" {
			item.Status, item.Length = http.StatusBadRequest, 1 // net/http wants a host in 1.1
		}
		// The reference takes any host, ours those of this machine.
		r, body := request(t, addr, strings.ReplaceAll(item.Request, "Host: x\r\n", "Host: localhost\r\n"))
		if r.StatusCode != item.Status {
			t.Errorf("%q: status %d, want %d", item.Request, r.StatusCode, item.Status)
		}
		// The library says what was wrong with a request that is malformed.
		if (body != "") != (item.Length > 0) && r.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: body %q", item.Request, body)
		}
		if r.StatusCode == http.StatusOK && r.Request.Method == http.MethodGet && r.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Errorf("%q: headers %v", item.Request, r.Header)
		}
	}
}

// TestWebHosts checks that a web page whose name leads to this machine reads
// nothing of a node.
func TestWebHosts(t *testing.T) {
	addr, _ := webOf(t, background(t, "n", openStore(t)))
	_, port, _ := net.SplitHostPort(addr)
	for host, want := range map[string]int{
		"example.com": 404, "example.com:" + port: 404, "10.0.0.1": 404, "localhost.example.com": 404,
		"localhost": 200, "localhost:" + port: 200, "127.0.0.1:" + port: 200, "[::1]:" + port: 200,
	} {
		if r, _ := request(t, addr, "GET /show HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); r.StatusCode != want {
			t.Errorf("for the host %s: %d, want %d", host, r.StatusCode, want)
		}
	}
}

func TestWebShow(t *testing.T) {
	n := background(t, "n", openStore(t))
	addr, end := webOf(t, n)
	_, body := get(t, addr, "/show")
	for _, part := range []string{
		`{"name":"n","identity_name":"default","is_default":true,"status":"running","pid":` + strconv.Itoa(os.Getpid()) + `,"route":{"short":"/node/n",`,
		`"worker_addr":"<none>"`, `"inlets":[],"outlets":[],"services":[{"addr":"uppercase","type":"uppercase"},{"addr":"echo","type":"echo"}]}`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("%s is not in %s", part, body)
		}
	}
	for path, want := range map[string]string{"/health": "ok\n", "/health?x": "ok\n", "/metrics": "# HELP ockam_node_info"} {
		if status, body := get(t, addr, path); status != http.StatusOK || !strings.HasPrefix(body, want) {
			t.Errorf("GET %s: %d %q", path, status, body)
		}
	}
	n.stop()
	if status, body := get(t, addr, "/health"); status != http.StatusServiceUnavailable || body != "ending\n" {
		t.Errorf("health of a node that has ended: %d %q", status, body)
	}
	end()
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil { //nolint:noctx // it fails at once
		_ = c.Close()
		t.Error("the server has ended and accepts a connection")
	}
}

// TestWebEnds checks that Serve does not wait for clients that say nothing.
func TestWebEnds(t *testing.T) {
	addr, end := webOf(t, background(t, "n", openStore(t)))
	var d net.Dialer
	for _, begun := range []string{"", "GET /sh"} {
		c, err := d.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
	}
	get(t, addr, "/health")
	began := time.Now()
	end()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// metric returns the value of a sample.
func metric(t *testing.T, addr, name string) string {
	t.Helper()
	_, body := get(t, addr, "/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in\n%s", name, body)
	return ""
}

func TestWebMetrics(t *testing.T) {
	ctx := t.Context()
	db, app := background(t, "db", openStore(t)), background(t, "app", openStore(t))
	dbWeb, _ := webOf(t, db)
	appWeb, _ := webOf(t, app)
	if _, err := db.Client.CreateOutlet(ctx, control.CreateOutlet{Target: hostPort(t, echoTarget(t)), Reachable: true}); err != nil {
		t.Fatal(err)
	}
	var bind string
	for alias, way := range map[string]string{"i\"n": "/secure/api/service/outlet", "nowhere": "/service/x/secure/api"} {
		i, err := app.Client.CreateInlet(ctx, control.CreateInlet{
			Listen: hostPort(t, "127.0.0.1:0"), Alias: alias, WaitForConnection: alias != "nowhere", Outlet: parsed(t, db.place(way)),
		})
		if err != nil {
			t.Fatal(err)
		}
		if alias != "nowhere" {
			bind = i.Bind
		}
	}
	db.registers("db", app.place(""))
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", bind)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	check := func(open string) {
		t.Helper()
		for _, m := range []struct{ addr, name, want string }{
			{appWeb, `ockam_inlet_up{inlet="i\"n"}`, "1"},
			{appWeb, `ockam_inlet_up{inlet="nowhere"}`, "0"},
			{appWeb, `ockam_streams_open{inlet="i\"n"}`, open},
			{appWeb, `ockam_streams_total{inlet="i\"n"}`, "1"},
			{appWeb, `ockam_streams_total{inlet="nowhere"}`, "0"},
			{appWeb, `ockam_stream_sent_bytes_total{inlet="i\"n"}`, "6"},
			{appWeb, `ockam_stream_received_bytes_total{inlet="i\"n"}`, "6"},
			{appWeb, `ockam_channels{opened_by="node"}`, "1"},
			{dbWeb, `ockam_channels{opened_by="peer"}`, "1"},
			{dbWeb, `ockam_streams_open{outlet="outlet"}`, open},
			{dbWeb, `ockam_stream_sent_bytes_total{outlet="outlet"}`, "6"},
			{dbWeb, `ockam_relay_up{relay="db"}`, "1"},
			{dbWeb, `ockam_links{opened_by="node"}`, "1"},
		} {
			// What was sent is counted when that has returned, which may be after
			// the answer has come.
			got := ""
			for late := time.Now().Add(5 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
				if got = metric(t, m.addr, m.name); got == m.want {
					break
				}
			}
			if got != m.want {
				t.Errorf("%s is %s, want %s", m.name, got, m.want)
			}
		}
	}
	check("1")
	_ = c.Close()
	for late := time.Now().Add(15 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		if metric(t, appWeb, `ockam_streams_open{inlet="i\"n"}`) == "0" && metric(t, dbWeb, `ockam_streams_open{outlet="outlet"}`) == "0" {
			break
		}
	}
	check("0")
}
