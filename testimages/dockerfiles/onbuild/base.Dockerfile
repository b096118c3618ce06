# A house's own base, whose triggers run in every build from it.
FROM python:3.13-slim
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /usr/src/app
ONBUILD ARG GREETING=hello
ONBUILD ENV GREETING=$GREETING
ONBUILD COPY requirements.txt ./
ONBUILD RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca pip install --no-cache-dir --no-compile --root-user-action=ignore -r requirements.txt
ONBUILD COPY app ./
CMD ["python", "main.py"]
