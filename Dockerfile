# One image a service: `docker build --build-arg SERVICE=ingest --tag mainstem-ingest .`
# Each step is `k8s/image/build`, which tests/charts/test_image.py performs as this file says.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /source
ENV UV=/tools/bin/uv
COPY k8s/image/build k8s/image/build
COPY requirements.tools requirements.tools
RUN k8s/image/build tools /tools
ARG SERVICE
COPY services/${SERVICE}/requirements.lock services/${SERVICE}/requirements.lock
RUN k8s/image/build packages ${SERVICE} /opt/mainstem
COPY libs/common libs/common
COPY services/${SERVICE} services/${SERVICE}
RUN k8s/image/build service ${SERVICE} /opt/mainstem

FROM ${PYTHON_IMAGE}
ARG SERVICE
ARG COMMIT=""
ARG BUILD=""
LABEL org.opencontainers.image.title="mainstem-${SERVICE}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/mainstem/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAINSTEM_COMMIT=${COMMIT} \
    MAINSTEM_BUILD=${BUILD}
COPY --from=build /opt/mainstem /opt/mainstem
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
ENTRYPOINT ["mainstem"]
