# The style of examples/seed-cnn, step by step; only what it adds to its base is counted. The base here has
# Python already, so that python3 itself counts for nothing. pip's cache is measured apart.
FROM base
RUN --mount=type=secret,id=cudaforge-apt-sources,target=/run/cudaforge/apt.list,mode=0444 \
    --mount=type=secret,id=cudaforge-apt-config,target=/etc/apt/apt.conf.d/99site,mode=0444 \
    --mount=type=secret,id=cudaforge-ca,target=/etc/ssl/certs/ca-certificates.crt,mode=0444 \
    apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y python3 python3-pip
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,id=handwritten-pip,target=/root/.cache/pip \
    --mount=type=secret,id=site,target=/run/site.sh \
    --mount=type=secret,id=cudaforge-ca,target=/run/cudaforge/ca.crt,mode=0444 \
    if [ -s /run/site.sh ]; then . /run/site.sh; fi && \
    PIP_BREAK_SYSTEM_PACKAGES=1 pip3 install -r requirements.txt
COPY . /app
CMD ["python3", "main.py"]
