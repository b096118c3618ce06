package main

import _ "golang.org/x/crypto/x509roots/fallback" // certificate authorities where the system has none, as in covify's own image
