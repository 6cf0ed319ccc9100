package testkit

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// reachable reports whether a site answers a request within some seconds,
// with any status: on a machine without a network a download would otherwise
// be retried for minutes before what comes after it is tried.
func reachable(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return fmt.Errorf("reach %s: %w", url, err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
