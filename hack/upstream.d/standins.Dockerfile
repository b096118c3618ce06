# Stand-ins for the public images that the upstream tests build on. The context holds a static busybox, account, apk
# and git.
FROM scratch AS root
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/sbin", "/etc", "/root", "/var/spool/mail", "/var/tmp", "/home", "/tmp"]
RUN ["/bin/busybox", "--install", "/bin"]
COPY --chmod=755 account /usr/sbin/adduser
RUN chmod 1777 /tmp /var/tmp && chmod 700 /root && ln /usr/sbin/adduser /usr/sbin/addgroup && \
    printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/usr/sbin:/bin/false bin:x:2:2:bin:/bin:/bin/false \
      mail:x:8:8:mail:/var/spool/mail:/bin/false nobody:x:65534:65534:nobody:/home:/bin/false >/etc/passwd && \
    printf '%s\n' root:x:0:root daemon:x:1: bin:x:2: mail:x:8: wheel:x:10:root nobody:x:65534: >/etc/group && \
    printf '%s\n' 'root:*::0:::::' >/etc/shadow

# Two history entries and no environment: tests count them.
FROM scratch AS busybox
COPY --from=root / /
CMD ["sh"]

FROM root AS alpine-root
COPY git /
COPY --chmod=755 apk /sbin/apk
RUN echo 3.18.0 >/etc/alpine-release && printf 'ID=alpine\nVERSION_ID=3.18.0\n' >/etc/os-release

FROM scratch AS alpine
COPY --from=alpine-root / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/sh"]

# An image that must exist for the suite to start; what needs its content cannot run.
FROM scratch AS none
COPY account /account
