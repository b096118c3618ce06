package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// keychain finds credentials as docker and podman have stored them: in the file that REGISTRY_AUTH_FILE names, in docker's
// config.json with its helpers, in podman's auth.json. The first that knows the registry is taken.
func keychain() authn.Keychain {
	configHome, err := os.UserConfigDir()
	all := []authn.Keychain{authFile(os.Getenv("REGISTRY_AUTH_FILE")), authn.DefaultKeychain}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, authFile(filepath.Join(dir, "containers/auth.json")))
	}
	if err == nil {
		all = append(all, authFile(filepath.Join(configHome, "containers/auth.json")))
	}
	return authn.NewMultiKeychain(all...)
}

// authFile is a file of podman's format (containers-auth.json(5)); one that is not there holds nothing.
type authFile string

// Resolve implements authn.Keychain. Keys are a registry with as much of the repository's path as they are for.
func (f authFile) Resolve(target authn.Resource) (authn.Authenticator, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return authn.Anonymous, nil
	}
	if err != nil {
		return nil, errorf("reading credentials: %w", err)
	}
	defer file.Close()
	stored, err := config.LoadFromReader(file)
	if err != nil {
		return nil, errorf("reading credentials from %s: %v", f, err) // an end of file here is no broken connection
	}
	key := target.String()
	if target.RegistryStr() == name.DefaultRegistry {
		key = "docker.io" + strings.TrimPrefix(key, name.DefaultRegistry)
	}
	for ; key != "."; key = path.Dir(key) {
		found := stored.AuthConfigs[key]
		if !strings.Contains(key, "/") && (stored.CredentialHelpers[key] != "" || stored.CredentialsStore != "") {
			if found, err = stored.GetAuthConfig(key); err != nil {
				return nil, errorf("reading credentials from %s: %w", f, err)
			}
		}
		found.ServerAddress = "" // it is the key
		if found != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken}), nil
		}
	}
	return authn.Anonymous, nil
}
