// An IoT Hub, and a Device Provisioning Service that is linked to it, for devices that `tpm2cloud provision` makes.
// The key by which the service writes devices into the hub is read and used within Azure: it is no parameter and no output.
targetScope = 'resourceGroup'

@description('Where both are.')
param location string = resourceGroup().location

@description('The name of the IoT Hub, which no other hub in Azure may have.')
@minLength(3)
@maxLength(50)
param hubName string = 'tpm2cloud-${uniqueString(resourceGroup().id)}'

@description('The name of the Device Provisioning Service, likewise.')
@minLength(3)
@maxLength(64)
param dpsName string = 'tpm2cloud-${uniqueString(resourceGroup().id)}'

@description('F1 is free, and a subscription may have one; basic ones, B1 to B3, do without IoT Edge.')
@allowed([
  'F1'
  'S1'
  'S2'
  'S3'
])
param hubSku string = 'S1'

@description('How many units of that.')
@minValue(1)
param hubUnits int = 1

// The policy of a hub that may write devices; each hub has it.
var policy = 'iothubowner'

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' = {
  name: hubName
  location: location
  sku: {
    name: hubSku
    capacity: hubUnits
  }
  properties: {}
}

resource dps 'Microsoft.Devices/provisioningServices@2022-12-12' = {
  name: dpsName
  location: location
  sku: {
    name: 'S1'
    capacity: 1
  }
  properties: {
    allocationPolicy: 'Hashed'
    iotHubs: [
      {
        location: location
        connectionString: 'HostName=${hub.properties.hostName};SharedAccessKeyName=${policy};SharedAccessKey=${listKeys(resourceId('Microsoft.Devices/IotHubs/IotHubKeys', hubName, policy), '2023-06-30').primaryKey}'
      }
    ]
  }
}

output dpsName string = dps.name
output idScope string = dps.properties.idScope
output hubHostName string = hub.properties.hostName
