package imagepatch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// NotFoundError says that there is no image at a reference.
type NotFoundError struct {
	Ref string
	Err error
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("image %s not found: %v", e.Ref, e.Err) }
func (e *NotFoundError) Unwrap() error { return e.Err }

// AuthError says that a registry asks for other credentials, or for any.
type AuthError struct {
	Registry string
	Err      error
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("not authorised at %s: %v (docker login %[1]s, or podman login, stores credentials that covify uses)", e.Registry, e.Err)
}
func (e *AuthError) Unwrap() error { return e.Err }

// TransientError says that trying again may help: a registry or engine that does not answer, or says that it is busy.
type TransientError struct{ Err error }

func (e *TransientError) Error() string { return e.Err.Error() }
func (e *TransientError) Unwrap() error { return e.Err }

// isTransient reports whether err came from the network rather than from what was read.
func isTransient(err error) bool {
	var status *transport.Error
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests || status.StatusCode == http.StatusRequestTimeout
	}
	var dial *net.OpError
	var request *url.Error
	if errors.As(err, &request) && (request.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return true // the other side hung up
	}
	return errors.As(err, &dial) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED)
}

// registryError gives an error of the registry client its type.
func registryError(ref, registry string, err error) error {
	var status *transport.Error
	if errors.As(err, &status) {
		switch status.StatusCode {
		case http.StatusNotFound:
			return &NotFoundError{ref, err}
		case http.StatusUnauthorized, http.StatusForbidden:
			return &AuthError{registry, err}
		}
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) && (isTransient(err) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return &TransientError{err}
	}
	return err
}

// transferError gives an error of reading a blob its type. What a registry's client refuses is not what its digest says.
func transferError(blob string, err error) error {
	var status *transport.Error
	var file *fs.PathError
	switch {
	case errors.As(err, &status) && status.Request != nil && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return &AuthError{status.Request.URL.Host, err}
	case isTransient(err) || errors.Is(err, io.ErrUnexpectedEOF):
		return &TransientError{err}
	case status != nil || errors.As(err, &file):
		return err
	}
	return &CorruptError{blob, err}
}
