FROM python:3.13-slim
WORKDIR /opt/morphoindex
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY morphoindex morphoindex
RUN pip install --no-cache-dir -c constraints.txt '.[cpu]' && useradd --create-home curator && mkdir /index && chown curator /index
USER curator
VOLUME /index
ENTRYPOINT ["morphoindex"]
CMD ["--help"]
