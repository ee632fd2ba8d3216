// Microsoft's clients of the Device Provisioning Service, unchanged; what is ours here is how they reach a server that is on this
// machine and a TPM that is a unix socket.
//
//     client.js PORT SCOPE tpm SOCKET [REGISTRATION]            registers; prints what it was given, with a token for the hub
//     client.js PORT SCOPE x509 CERTIFICATE KEY REGISTRATION    registers
//     client.js token SOCKET HUB DEVICE                         a token for the hub, by the key that the TPM has
//     client.js sas HUB/devices/DEVICE KEY EXPIRY               the same by a key in base64
//
// The server's CA is in $NODE_EXTRA_CA_CERTS, the packages are in $NODE_PATH.
'use strict';
const fs = require('fs');
const https = require('https');
const net = require('net');
const { promisify } = require('util');
const { SharedAccessSignature, encodeUriComponentStrict } = require('azure-iot-common');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { Http } = require('azure-iot-provisioning-device-http');
const { TpmAuthenticationProvider, TpmSecurityClient } = require('azure-iot-security-tpm');
const { X509Security } = require('azure-iot-security-x509');
const { Tpm } = require('tss.js');

const HOST = 'global.azure-devices-provisioning.net';

// What tss.js has for /dev/tpm0 and for a simulator, for a TPM behind a unix socket.
class SocketDevice {
    constructor(path) {
        this.path = path;
    }

    connect(continuation) {
        this.socket = net.connect(this.path, () => continuation(null));
        this.socket.on('error', fail);
        this.socket.on('data', (octets) => this.receive(octets));
        return null;
    }

    dispatchCommand(command, continuation) {
        this.response = Buffer.alloc(0);
        this.continuation = continuation;
        this.socket.write(command);
    }

    receive(octets) {
        this.response = Buffer.concat([this.response, octets]);
        if (this.response.length >= 6 && this.response.length === this.response.readUInt32BE(2)) {
            setImmediate(this.continuation, null, this.response);
        }
    }

    close() {
        this.socket.end();
    }
}

function fail(error) {
    console.error(`${error.name}: ${error.message} ${error.responseBody || ''}`);
    process.exit(1);
}

function tpm_of(path) {
    const tpm = new Tpm(true);
    tpm.device = new SocketDevice(path);
    return tpm;
}

function register(port, scope, security) {
    Object.assign(https.globalAgent.options, { host: '127.0.0.1', port: Number(port) });
    const client = ProvisioningDeviceClient.create(HOST, scope, new Http(), security);
    return promisify(client.register.bind(client))();
}

async function hub_token(security, hub, device) {
    const provider = new TpmAuthenticationProvider({ host: hub, deviceId: device }, security);
    const credentials = await promisify(provider.getDeviceCredentials.bind(provider))();
    provider.stop();
    return credentials.sharedAccessSignature;
}

async function register_tpm(port, scope, socket, registration) {
    const security = new TpmSecurityClient(registration, tpm_of(socket));
    const { registrationState: state } = await register(port, scope, security);
    return { ...state, token: await hub_token(security, state.assignedHub, state.deviceId) };
}

function register_x509(port, scope, certificate, key, registration) {
    const files = { cert: fs.readFileSync(certificate, 'utf8'), key: fs.readFileSync(key, 'utf8') };
    return register(port, scope, new X509Security(registration, files));
}

async function main(words) {
    if (words[0] === 'sas') {
        return SharedAccessSignature.create(encodeUriComponentStrict(words[1]), null, words[2], words[3]).toString();
    }
    if (words[0] === 'token') {
        return hub_token(new TpmSecurityClient('any', tpm_of(words[1])), words[2], words[3]);
    }
    const [port, scope, way, ...rest] = words;
    return { tpm: register_tpm, x509: register_x509 }[way](port, scope, ...rest);
}

main(process.argv.slice(2)).then((result) => {
    console.log(typeof result === 'string' ? result : JSON.stringify(result));
    process.exit(0);
}, fail);
