def judge(host):
    broken = []
    if host.get("memory", 0) < 512:
        broken.append("memory")
    if "root" in host.get("users", ()):
        broken.append("root")
    return broken
