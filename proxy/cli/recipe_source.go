package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	maxRecipeFile = 1 << 20          // bytes
	fetchTimeout  = 10 * time.Second // for all of it
)

// A recipeSource is the text of a configuration, and what messages call it.
type recipeSource struct{ text, file string }

// hostPortPath is what is taken for http://….
var hostPortPath = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}/.+`)

// configurationURL returns the URL that an argument of node create means.
func configurationURL(arg string) (string, bool) {
	switch {
	case strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "https://"):
		return arg, true
	case hostPortPath.MatchString(arg):
		return "http://" + arg, true
	}
	return "", false
}

// isFile reports whether there is something to be read at path.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// isYAML reports whether a path is that of one of the reference's
// configurations, not of one of ours.
func isYAML(path string) bool {
	return slices.Contains([]string{".yml", ".yaml", ".json"}, filepath.Ext(path))
}

// readRecipeFile reads a configuration.
func readRecipeFile(path string) (*recipeSource, error) {
	f, err := os.Open(path)
	if err != nil {
		err = fmt.Errorf("the configuration cannot be read: %w", err)
		if errors.Is(err, os.ErrNotExist) {
			return nil, &failure{code: codeNotFound, err: err}
		}
		return nil, err
	}
	defer f.Close()
	return readBounded(f, path)
}

func readBounded(from io.Reader, name string) (*recipeSource, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxRecipeFile+1))
	if err == nil && len(b) > maxRecipeFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration %s cannot be read: %w", name, err)
	}
	return &recipeSource{text: string(b), file: name}, nil
}

// fetchRecipe reads a configuration from a web server.
func fetchRecipe(ctx context.Context, url string) (_ *recipeSource, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("the configuration %s cannot be fetched: %w", url, err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("the configuration %s cannot be fetched: no answer within %s", url, fetchTimeout)
	case err != nil:
		return nil, fmt.Errorf("the configuration %s cannot be fetched: %w", url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the configuration %s cannot be fetched: the server answered %s", url, res.Status)
	}
	return readBounded(res.Body, url)
}
