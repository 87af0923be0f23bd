# recsys serve, in a container: docs/serve.md has the commands.
FROM python:3.11-slim AS build
COPY . /src
RUN python -m venv /recsys \
    && /recsys/bin/pip install --no-cache-dir --constraint /src/constraints.txt '/src[web,mix]'

FROM python:3.11-slim
COPY --from=build /recsys /recsys
# The library, its index and its tokens; what is kept of covers is small, and is made again.
ENV PATH=/recsys/bin:$PATH XDG_DATA_HOME=/data XDG_CACHE_HOME=/data/cache
RUN useradd --create-home --uid 1000 recsys && install -d -o recsys -g recsys /data
USER recsys
VOLUME /data
EXPOSE 8337
HEALTHCHECK CMD ["python", "-c", "from recsys.web.client import Client; Client().server()"]
ENTRYPOINT ["recsys"]
CMD ["serve", "--host", "0.0.0.0", "--no-browser"]
