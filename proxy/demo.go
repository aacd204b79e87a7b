package proxy

import (
	"fmt"
	"html"
	"net/http"
	"time"
)

const demoPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>ockam demo</title>
<h1>It works.</h1>
<p>Your request went <b>inlet &rarr; relay &rarr; outlet</b> and was answered by the
web service inside the outlet's node, which listens on no port at all.</p>
<p>%s</p>
<p>%s</p>
</html>
`

// Demo is a small web service to be the target of an outlet: its page tells the
// way that the request took, and who asked.
func Demo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "Nobody proved an identity on the way here: the stream came without a secure channel."
		if peer := Peer(r.Context()); peer != "" {
			who = "The node at the inlet proved to be <code>" + html.EscapeString(peer) + "</code>."
		}
		when := "It is " + time.Now().UTC().Format(time.RFC1123) + "."
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, demoPage, who, when) // the client is gone: nobody to tell
	})
}
