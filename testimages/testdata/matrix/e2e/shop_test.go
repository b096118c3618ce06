// Package e2e tests the shop's containers from outside.
package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run is the command that starts a container.
func run(args ...string) *exec.Cmd {
	words := append(strings.Fields(os.Getenv("SHOP_RUN")), args...)
	c := exec.Command(words[0], words[1:]...)
	c.Stderr = os.Stderr
	return c
}

func status(url string) int {
	answer, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestCatalog(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	service := run("--network=host", "--env", fmt.Sprintf("PORT=%d", port), "shop/catalog:"+os.Getenv("SHOP_TAG"))
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer service.Wait()
	defer service.Process.Signal(syscall.SIGTERM)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for begun := time.Now(); status(url+"/health") != 200; time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("no catalog")
		}
	}
	for path, want := range map[string]int{"/products/tea": 200, "/products/cup": 200, "/products/pot": 404} {
		if got := status(url + path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestNightly(t *testing.T) {
	out, err := run("--network=none", "shop/nightly:"+os.Getenv("SHOP_TAG"), "2026-11-24").Output()
	if err != nil || !strings.Contains(string(out), `"north": 1050`) {
		t.Errorf("%s, %v", out, err)
	}
}
